Rails.application.routes.draw do
  root "notes#index"
  resources :notes
  get "stream" => "exchanges#stream"
  get "cut" => "broken#cut"
  post "upload" => "exchanges#upload"
  get "about" => "exchanges#about"
end
