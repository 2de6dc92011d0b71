package import Model

/// What `kiln init` writes: a commented kiln.yaml, and the files that it names, for a service that works at
/// once.
package enum SpecStarter: String, Sendable, CaseIterable {
    /// A static site behind nginx.
    case site
    /// A Redis cache, as an example of what is not HTTP.
    case redis
    /// A web application in Python.
    case python

    /// A file to write, relative to the folder of the service.
    package struct File: Hashable, Sendable {
        package var path: String
        package var text: String
    }

    /// One line for a menu.
    package var summary: String {
        switch self {
        case .site: "a static site behind nginx"
        case .redis: "a Redis cache (TCP)"
        case .python: "a web application in Python"
        }
    }

    /// All files to write, kiln.yaml first.
    package func files(for service: ServiceName) -> [File] {
        [File(path: SpecFile.name, text: text(for: service))]
            + companions.map { File(path: $0.key, text: $0.value) }
    }

    /// The text of kiln.yaml.
    package func text(for service: ServiceName) -> String {
        let head = """
            # \(service): \(summary). Every key is explained in the JSON Schema (docs/kiln.schema.json).
            kiln: 1
            service: \(service)

            """
        return head + "\n" + body
    }

    private var companions: KeyValuePairs<String, String> {
        switch self {
        case .site: ["nginx.conf": StarterFiles.nginx, "site/index.html": StarterFiles.page]
        case .redis: ["redis.conf": StarterFiles.redis]
        case .python: ["app.py": StarterFiles.application]
        }
    }

    private var body: String {
        switch self {
        case .site:
            """
            # What goes into the image. Nothing else does, and nothing changes it afterwards.
            image:
              distribution: debian/bookworm        # any Debian or Ubuntu suite
              packages: [nginx-light, ca-certificates]
              files:
                - {from: site/, to: /srv/www}      # folders go whole; mode and owner may be given
                - {from: nginx.conf, to: /etc/nginx/nginx.conf}
              user: www-data                       # not root
              command: [nginx, -g, daemon off;]    # a list: no shell is involved
              environment: {LANG: C.UTF-8}

            # How it runs.
            run:
              replicas: 2
              port: 8080                           # the port inside an instance
              health: {path: /, interval: 1s}      # or tcp: true, or command: [...]
              scratch: [/tmp, /var/log/nginx]      # writable folders in memory; all else is read-only
              limits: {memory: 64M, cpu: 0.5, pids: 64}
              # config: {GREETING: hello}          # environment variables of this release

            # How a new release takes the place of the old one.
            rollout:
              strategy: blue-green
              drain: 10s                           # for requests in flight on the old release
              watch: 30s                           # the new one has all traffic, and can still be sent back
              deadline: 60s                        # for every new instance to become healthy
              keep-standby: 1                      # old releases kept warm: rollback in milliseconds

            # Where it is reached.
            listen: 127.0.0.1:8000

            """
        case .redis:
            """
            # What goes into the image. Nothing else does, and nothing changes it afterwards.
            image:
              distribution: debian/bookworm
              packages: [redis-server]
              files:
                - {from: redis.conf, to: /etc/redis/redis.conf}
              user: redis
              command: [redis-server, /etc/redis/redis.conf]

            # How it runs.
            run:
              replicas: 1                          # two caches would not share what they hold
              port: 6379
              health: {tcp: true}
              scratch:
                - {path: /var/lib/redis, size: 64M}
              limits: {memory: 192M, cpu: 1, pids: 32}

            # How a new release takes the place of the old one.
            rollout:
              strategy: blue-green
              drain: 10s
              keep-standby: 0                      # a standby cache would only go stale

            # Where it is reached. `protocol: tcp` is for what is not HTTP.
            listen: 127.0.0.1:6379
            protocol: tcp

            """
        case .python:
            """
            # What goes into the image. Nothing else does, and nothing changes it afterwards.
            image:
              distribution: debian/bookworm
              packages: [python3]
              files:
                - {from: app.py, to: /srv/app/app.py}
              user: nobody
              # -B: there is no place for compiled modules on a read-only root. -u: log lines appear at once.
              command: [python3, -B, -u, /srv/app/app.py]
              working-directory: /srv/app
              environment: {LANG: C.UTF-8}

            # How it runs.
            run:
              replicas: 2
              port: 8080
              health: {path: /health, interval: 1s}
              scratch: [/tmp]
              limits: {memory: 96M, cpu: 0.5, pids: 64}
              config: {PORT: 8080, GREETING: hello}
              stop-grace: 15s                      # longer than the slowest request

            # How a new release takes the place of the old one.
            rollout:
              strategy: blue-green
              drain: 10s
              keep-standby: 1

            # Where it is reached.
            listen: 127.0.0.1:8000

            """
        }
    }
}
