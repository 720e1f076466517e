# frozen_string_literal: true

# Preloader for Rack applications: loads `config.ru` once and becomes, by fork, a worker each time the spawner asks.
#
# A worker shares the memory of the loaded application and goes on like one of `rack_loader.rb`, whose rules hold here too.
# An application that must do something anew in each process (threads, connections) does it in
#
#   PhusionPassenger.on_event(:starting_worker_process) { |forked| ... }

require_relative "phusion_passenger/application"
require_relative "phusion_passenger/events"

$stdout.sync = $stderr.sync = true
talk = PhusionPassenger::Loader::Talk.on_standard_streams
begin
  options = talk.shake_hands
  Process.setproctitle("Passenger AppPreloader: #{options["app_root"]}")
  app = PhusionPassenger::Loader::Application.load(options)
  require_relative "phusion_passenger/preloader"
  require_relative "phusion_passenger/worker_process"
  PhusionPassenger::Loader::Preloader.settle_memory
  preloader = PhusionPassenger::Loader::Preloader.new(talk, options.fetch("socket_dir"))
rescue PhusionPassenger::Loader::Explanation, SystemCallError, KeyError => error
  talk.explain(PhusionPassenger::Loader::Failure.text(error))
  exit 1
end
PhusionPassenger::Loader::Preloader.warn_of_threads
talk.say("\n!> Ready\n#{preloader.announcement}!> \n")
worker_talk = preloader.run
exit unless worker_talk

begin
  options = options.merge(worker_talk.shake_hands)
  ENV["PASSENGER_GUPID"] = options["gupid"] # what it starts is known by it, and ends with it
rescue PhusionPassenger::Loader::Explanation => error
  worker_talk.explain(error.message)
  exit 1
end
exit PhusionPassenger::Loader::WorkerProcess.serve(app, options, worker_talk, forked: true)
