# frozen_string_literal: true

require "sinatra/base"

RELEASE = File.read(File.join(__dir__, "release")).strip

# Who answers, and with which release.
class Shop < Sinatra::Base
  set :host_authorization, permitted_hosts: []

  get "/" do
    content_type "text/plain"
    "shop #{RELEASE} #{Socket.gethostname} #{Sinatra::VERSION}\n"
  end
end

use Rack::Lint
run Shop
