# frozen_string_literal: true

require "rack/lint"
require_relative "app"

use Rack::Lint
run Notebook
