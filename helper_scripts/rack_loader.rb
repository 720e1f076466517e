# frozen_string_literal: true

# Loader for Rack applications: runs under the application's own Ruby (2.7 or newer), with its own gems.
#
# It talks the spawn protocol with Passenger on stdin and stdout, loads `config.ru`, and then answers requests on a Unix
# socket with the session protocol: a 4-byte length, `NAME NUL VALUE NUL ...`, the body; the answer is HTTP/1.1.
#
# Rules.
# 1. Ruby's standard library only. What of it is a gem of its own (stringio, tempfile, ...) is required after the
#    application, which may want another version of it. $LOAD_PATH and $0 are the application's.
# 2. A connection stays open for many requests, until it cannot be trusted to be at a request boundary.
# 3. An answer that could not be completed never looks complete: the connection is cut instead.
# 4. End of stdin or SIGTERM: requests in progress are finished, then the process ends.

require_relative "phusion_passenger/application"
require_relative "phusion_passenger/events"

$stdout.sync = $stderr.sync = true
talk = PhusionPassenger::Loader::Talk.on_standard_streams
begin
  options = talk.shake_hands
  app = PhusionPassenger::Loader::Application.load(options)
rescue PhusionPassenger::Loader::Explanation => error
  talk.explain(error.message)
  exit 1
end

require_relative "phusion_passenger/worker_process"
exit PhusionPassenger::Loader::WorkerProcess.serve(app, options, talk, forked: false)
