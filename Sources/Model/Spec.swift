/// What a user declares in kiln.yaml (schema version 1): every field has its default filled in and is valid.
package struct Spec: Hashable, Sendable, Codable {
    package var service: ServiceName
    package var image: Recipe
    package var run: RunSettings
    package var rollout: RolloutSettings
    /// Where the service is reached; nil for a service that nobody calls.
    package var listen: Listener?
    /// What its images must prove; nil where the service asks for nothing itself.
    package var policy: PolicyDraft?
    /// nil: what drifts is replaced.
    package var drift: DriftSettings?
    /// nil: instances become as old as they like.
    package var repave: RepaveSettings?

    package init(
        service: ServiceName, image: Recipe, run: RunSettings, rollout: RolloutSettings, listen: Listener?,
        policy: PolicyDraft? = nil, drift: DriftSettings? = nil, repave: RepaveSettings? = nil
    ) {
        self.drift = drift
        self.repave = repave
        self.service = service
        self.image = image
        self.run = run
        self.rollout = rollout
        self.listen = listen
        self.policy = policy
    }
}

/// How instances run. All of it is fixed at launch and is part of the release digest.
package struct RunSettings: Hashable, Sendable, Codable {
    /// How many instances serve, 1…1000.
    package var replicas: Int
    /// The port inside an instance.
    package var port: Int
    package var health: HealthCheck
    /// Writable tmpfs mounts; everything else in an instance is read-only.
    package var scratch: [ScratchMount]
    package var limits: Limits
    /// Environment variables of this release; they win over those of the image.
    package var config: [String: String]
    /// How long a stopped instance may take after SIGTERM before it is killed.
    package var stopGrace: Span
    /// nil: the count changes only by a deploy or by `kiln scale`.
    package var autoscale: Autoscale?
    /// What its instances may do beyond what every instance may.
    @OrEmpty package var allow: [Allowance]

    package init(
        replicas: Int = 1, port: Int, health: HealthCheck, scratch: [ScratchMount] = [],
        limits: Limits = Limits(),
        config: [String: String] = [:], stopGrace: Span = .seconds(10), autoscale: Autoscale? = nil,
        allow: [Allowance] = []
    ) {
        self.allow = allow
        self.replicas = replicas
        self.port = port
        self.health = health
        self.scratch = scratch
        self.limits = limits
        self.config = config
        self.stopGrace = stopGrace
        self.autoscale = autoscale
    }
}

/// How an instance proves that it can serve.
package struct HealthCheck: Hashable, Sendable, Codable {
    package enum Kind: Hashable, Sendable, Codable {
        /// GET `path` on the instance's port: 200…399 passes.
        case http(path: String)
        /// A TCP connection to the instance's port passes.
        case tcp
        /// A command run inside the instance: exit status 0 passes.
        case command([String])
    }

    package var kind: Kind
    package var interval: Span
    package var timeout: Span
    /// Passing probes in a row before an unproven instance counts as healthy.
    package var healthyAfter: Int
    /// Failing probes in a row before a healthy instance counts as failing.
    package var unhealthyAfter: Int

    package init(
        _ kind: Kind, interval: Span = .seconds(1), timeout: Span = .seconds(1), healthyAfter: Int = 2,
        unhealthyAfter: Int = 3
    ) {
        self.kind = kind
        self.interval = interval
        self.timeout = timeout
        self.healthyAfter = healthyAfter
        self.unhealthyAfter = unhealthyAfter
    }
}

/// A tmpfs inside an instance: noexec, nosuid, nodev, emptied with the instance.
package struct ScratchMount: Hashable, Sendable, Codable {
    package var path: String
    package var size: ByteCount

    package init(path: String, size: ByteCount = ByteCount(bytes: 16 << 20)) {
        self.path = path
        self.size = size
    }
}

package struct Limits: Hashable, Sendable, Codable {
    /// Bytes of memory; an instance that asks for more is killed by the kernel and replaced.
    package var memory: ByteCount
    /// Thousandths of a core; 500 is half a core.
    package var milliCPU: Int
    package var pids: Int

    package init(memory: ByteCount = ByteCount(bytes: 512 << 20), milliCPU: Int = 1000, pids: Int = 256) {
        self.memory = memory
        self.milliCPU = milliCPU
        self.pids = pids
    }
}

package struct Listener: Hashable, Sendable, Codable {
    package enum TrafficProtocol: String, Hashable, Sendable, Codable, CaseIterable {
        case http, tcp
    }

    package var address: SocketAddress
    package var trafficProtocol: TrafficProtocol

    package init(address: SocketAddress, trafficProtocol: TrafficProtocol = .http) {
        self.address = address
        self.trafficProtocol = trafficProtocol
    }
}

/// An address and a port, `127.0.0.1:8000`, `[::1]:8000` or `*:8000`.
package struct SocketAddress: Hashable, Sendable, TextCodable {
    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Where to knock on this host: an address that stands for all of them cannot be called.
    package var fromHere: SocketAddress {
        switch host {
        case "*", "0.0.0.0": SocketAddress(host: "127.0.0.1", port: port)
        case "[::]": SocketAddress(host: "[::1]", port: port)
        default: self
        }
    }

    /// Takes an IP address or `*`; names are refused, because what they mean can change under a running release.
    package init(parsing text: String) throws {
        let failure = Failure(
            .invalidArgument, "\"\(text)\" is not an address and port",
            suggestion: "write 127.0.0.1:8000, [::1]:8000 or *:8000")
        guard let colon = text.lastIndex(of: ":") else { throw failure }
        let host = String(text[..<colon])
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = Int(digits),
            (1...65_535).contains(port),
            host == "*" || SocketAddress.isIPv4(host[...])
                || host.hasPrefix("[") && host.hasSuffix("]")
                    && SocketAddress.isIPv6(host.dropFirst().dropLast())
        else { throw failure }
        self.init(host: host, port: port)
    }

    private static func isIPv4(_ text: Substring) -> Bool {
        let fields = text.split(separator: ".", omittingEmptySubsequences: false)
        return fields.count == 4
            && fields.allSatisfy {
                UInt8($0) != nil && $0.utf8.allSatisfy { (0x30...0x39).contains($0) }
                    && ($0 == "0" || !$0.hasPrefix("0"))
            }
    }

    /// RFC 4291: eight groups of up to four digits, one run of zeros as `::`, the last two groups maybe as IPv4.
    private static func isIPv6(_ text: Substring) -> Bool {
        /// How many groups a part without `::` has; nil when it is not well formed.
        func groups(_ part: Substring, mayEndInIPv4: Bool) -> Int? {
            if part.isEmpty { return 0 }
            let fields = part.split(separator: ":", omittingEmptySubsequences: false)
            var count = 0
            for (index, field) in fields.enumerated() {
                if mayEndInIPv4, index == fields.count - 1, isIPv4(field) {
                    count += 2
                } else if (1...4).contains(field.utf8.count),
                    field.allSatisfy({ $0.isASCII && $0.isHexDigit })
                {
                    count += 1
                } else {
                    return nil
                }
            }
            return count
        }
        guard let gap = text.firstRange(of: "::") else { return groups(text, mayEndInIPv4: true) == 8 }
        guard let before = groups(text[..<gap.lowerBound], mayEndInIPv4: false),
            let after = groups(text[gap.upperBound...], mayEndInIPv4: true)
        else { return false }
        return before + after < 8
    }

    package var description: String { "\(host):\(port)" }
}
