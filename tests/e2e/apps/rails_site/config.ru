# What `rails new` writes, under the eyes of Rack::Lint.
require_relative "config/environment"

use Rack::Lint
run Rails.application
