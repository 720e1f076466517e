# Answers that a scaffold has not: streamed ones, an upload, and what the application knows of its process.
class ExchangesController < ApplicationController
  include ActionController::Live

  skip_forgery_protection only: :upload

  # The second half waits until somebody writes into the FIFO that the request names.
  def stream
    response.headers["Content-Type"] = "text/plain"
    response.headers["Last-Modified"] = Time.now.httpdate # else Rack::ETag holds the whole body back
    response.stream.write("first half\n")
    File.read(params.require(:gate))
    response.stream.write("second half\n")
  ensure
    response.stream.close
  end

  def upload
    file, sha = params.require(:file), Digest::SHA256.new
    while (piece = file.read(1024 * 1024))
      sha << piece
    end
    render json: { sha256: sha.hexdigest, size: file.size }
  end

  def about
    render json: { env: Rails.env, pid: Process.pid, url: request.url, ip: request.remote_ip }
  end
end
