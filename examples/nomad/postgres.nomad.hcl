# PostgreSQL in Nomad's docker driver, with a volume of its own:
#
#     nomad job run postgres.nomad.hcl
#
# Nomad asks the node's Docker for the volume, and that hawser: nothing of it is set up in Nomad. The task finds its data on
# whichever node it is placed, where the nodes are a cluster of hawser's (docs/cluster.md).
job "postgres" {
  type = "service"

  group "postgres" {
    # One task at a time writes to a volume that is not shared.
    count = 1

    # The new task starts when the old one has ended.
    update {
      max_parallel = 1
      canary       = 0
    }

    task "postgres" {
      driver = "docker"

      config {
        image = "postgres:16"

        mount {
          type     = "volume"
          source   = "pgdata"
          target   = "/var/lib/postgresql/data"
          readonly = false

          volume_options {
            # What the image has there is not copied into the volume.
            no_copy = true

            driver_config {
              name = "hawser"

              options {
                size = "20GiB"
                fs   = "xfs"
                uid  = "999"
                gid  = "999"
              }
            }
          }
        }
      }

      env {
        # There is no lost+found in the volume, so that initdb takes it as it is, without a PGDATA below it.
        POSTGRES_PASSWORD = "change-me"
      }

      resources {
        cpu    = 500
        memory = 512
      }
    }
  }
}
