# Three tasks on as many nodes that use one volume, in the short form: the name says what the volume is.
#
# `volumes` takes volumes of a driver only where the client's docker plugin has `volumes { enabled = true }`; a `mount` as in
# postgres.nomad.hcl needs no such setting.
job "site" {
  type = "service"

  group "web" {
    count = 3

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    task "nginx" {
      driver = "docker"

      config {
        image         = "nginx:1.27"
        volume_driver = "hawser"
        volumes       = ["name=site,size=10GiB,shared=true:/usr/share/nginx/html"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
