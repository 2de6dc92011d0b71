package import Model

/// Paths of version 1 of the API. Messages only ever gain fields; what changes meaning gets a new version.
package enum WirePath {
    package static let version = "v1"
    package static let status = "/v1/status"
    package static let services = "/v1/services"
    package static func service(_ key: ServiceKey) -> String { "/v1/services/\(key)" }
    package static func deploy(_ key: ServiceKey) -> String { service(key) + "/deploy" }
    package static func plan(_ key: ServiceKey) -> String { service(key) + "/plan" }
    package static func rollback(_ key: ServiceKey) -> String { service(key) + "/rollback" }
    package static func scale(_ key: ServiceKey) -> String { service(key) + "/scale" }
    package static func repave(_ key: ServiceKey) -> String { service(key) + "/repave" }
    package static func events(_ key: ServiceKey) -> String { service(key) + "/events" }
    package static func history(_ key: ServiceKey) -> String { service(key) + "/history" }
    package static func rollout(_ key: ServiceKey) -> String { service(key) + "/rollout" }
    package static func rollout(_ key: ServiceKey, _ control: RolloutControl) -> String {
        rollout(key) + "/\(control.rawValue)"
    }
    package static func confinement(_ id: InstanceID) -> String { "/v1/instances/\(id)/confinement" }
    package static func log(_ id: InstanceID) -> String { "/v1/instances/\(id)/log" }
}

/// Where the path says all but why.
package struct PlainRequest: Sendable, Codable {
    /// Why it is asked for, in the caller's words; nil: they gave none. So of all requests.
    package var message: String?
    package init(message: String? = nil) { self.message = message }
}

package struct DeployRequest: Sendable, Codable {
    package var content: Release.Content
    package var message: String
    /// Roll out even what serves already.
    package var force: Bool
    /// Wait for the rollout under way to end, instead of taking its place. nil: no.
    package var queue: Bool?
    /// The Git commit of the spec; nil where there is none.
    package var commit: String?
    /// The names in registries that the image came by; nil: none.
    package var tags: [TaggedImage]?

    package init(
        content: Release.Content, message: String, force: Bool, queue: Bool? = nil, commit: String? = nil,
        tags: [TaggedImage]? = nil
    ) {
        self.commit = commit
        self.tags = tags
        self.content = content
        self.message = message
        self.force = force
        self.queue = queue
    }
}

/// What people say to a rollout that is under way.
package enum RolloutControl: String, Sendable, Codable, CaseIterable {
    case pause, resume, promote, abort, approve
}

package struct RolloutControlRequest: Sendable, Codable {
    /// The gate that is approved; nil: the one that waits.
    package var gate: String?
    /// A signed approval: the bytes of its envelope, as base64.
    package var approval: String?
    package var message: String?
    package init(gate: String? = nil, approval: String? = nil, message: String? = nil) {
        self.message = message
        self.gate = gate
        self.approval = approval
    }
}

package struct RollbackRequest: Sendable, Codable {
    /// nil: the last good release before the current one.
    package var to: ReleaseNumber?
    package var message: String?
    package init(to: ReleaseNumber?, message: String? = nil) {
        self.to = to
        self.message = message
    }
}

package struct ScaleRequest: Sendable, Codable {
    package var replicas: Int
    package var message: String?
    package init(replicas: Int, message: String? = nil) {
        self.replicas = replicas
        self.message = message
    }
}
