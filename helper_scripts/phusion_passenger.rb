# frozen_string_literal: true

# What `require "phusion_passenger"` gives to whoever was told `ruby_libdir`: the module with its events. A loader that
# needs more of Passenger's own Ruby library has to bring it along.

require_relative "phusion_passenger/events"
