# A body that breaks when a part of it was sent.
class BrokenController < ApplicationController
  def cut
    response.headers["Last-Modified"] = Time.now.httpdate # else Rack::ETag holds the whole body back
    self.response_body = Enumerator.new do |pieces|
      pieces << "only this\n"
      raise "broken"
    end
  end
end
