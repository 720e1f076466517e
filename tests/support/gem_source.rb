# frozen_string_literal: true

# Writes a static source of gems, such as `bundle install` reads, from what Debian has installed: ruby gem_source.rb FOLDER NAME...
# Debian keeps the specification and the files of each gem, but no packages and no index.

require "fileutils"
require "rubygems/package"
require "zlib"

folder, *names = ARGV
FileUtils.mkdir_p(["#{folder}/gems", "#{folder}/quick/Marshal.4.8"])

packed = {}
until names.empty?
  name = names.shift
  next if packed.key?(name)

  installed = Gem::Specification.find_by_name(name)
  spec = installed.dup
  spec.files = Dir.chdir(installed.full_gem_path) { Dir["lib/**/*"].select { |path| File.file?(path) } }
  spec.executables = spec.extensions = spec.extra_rdoc_files = spec.test_files = []
  spec.require_paths = ["lib"]
  Dir.chdir(installed.full_gem_path) { Gem::Package.build(spec, true, false, "#{File.expand_path(folder)}/gems/#{spec.file_name}") }
  File.binwrite("#{folder}/quick/Marshal.4.8/#{spec.full_name}.gemspec.rz", Zlib::Deflate.deflate(Marshal.dump(spec)))
  packed[name] = spec
  names.concat(spec.runtime_dependencies.map(&:name))
end

tuples = packed.values.map { |spec| [spec.name, spec.version, spec.original_platform.to_s] }
{ "specs" => tuples, "latest_specs" => tuples, "prerelease_specs" => [] }.each do |kind, list|
  Zlib::GzipWriter.open("#{folder}/#{kind}.4.8.gz") { |stream| stream.write(Marshal.dump(list)) }
end
puts packed.values.map(&:full_name)
