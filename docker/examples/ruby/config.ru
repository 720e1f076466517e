# frozen_string_literal: true

require "sinatra/base"

class Hello < Sinatra::Base
  get("/") { "Hello from Sinatra\n" }
end

run Hello
