# frozen_string_literal: true

require "sinatra/base"

# A notebook in memory: pages, a form, a download, a stream.
class Notebook < Sinatra::Base
  enable :inline_templates
  set :notes, []

  get "/" do
    headers "cache-control" => "no-store"
    erb :page
  end

  post "/notes" do
    halt 422, "a note needs a text" if params["text"].to_s.strip.empty?

    settings.notes << params["text"]
    redirect to("/")
  end

  get "/notes.txt" do
    attachment "notes.txt"
    settings.notes.map { |note| "#{note}\n" }.join
  end

  get "/count" do
    stream do |out|
      3.times { |number| out << "#{number}\n" }
    end
  end

  get "/who" do
    content_type "text/plain"
    "#{Process.pid} #{Process.ppid} #{url("/")}"
  end
end

__END__

@@ page
<!doctype html>
<title>Notes</title>
<ul><% settings.notes.each do |note| %><li><%= Rack::Utils.escape_html(note) %></li><% end %></ul>
<form method="post" action="<%= url("/notes") %>"><input name="text"><button>Add</button></form>
