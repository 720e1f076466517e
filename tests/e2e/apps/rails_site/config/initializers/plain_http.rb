# The generated production environment of newer versions insists on https.
Rails.application.config.force_ssl = false
