# frozen_string_literal: true

# What an application can see of Passenger: the module `PhusionPassenger` with its events.
#
#   if defined?(PhusionPassenger)
#     PhusionPassenger.on_event(:starting_worker_process) { |forked| reconnect if forked }
#   end
#
# Events: `starting_worker_process` (argument: was it forked from a preloader), `stopping_worker_process`,
# `after_installing_signal_handlers`, `oob_work`. Handlers run in the order of their registration.
module PhusionPassenger
  @handlers = Hash.new { |all, name| all[name] = [] }

  class << self
    # Run the block whenever the event happens.
    def on_event(name, &block)
      raise ArgumentError, "PhusionPassenger.on_event(#{name.inspect}) needs a block" unless block

      @handlers[name.to_sym] << block
    end

    # Run the handlers of an event. What one of them raises goes to the caller.
    def call_event(name, *arguments)
      @handlers.fetch(name.to_sym, []).each { |handler| handler.call(*arguments) }
    end
  end
end
