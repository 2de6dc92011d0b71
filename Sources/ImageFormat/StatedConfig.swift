package import Model

/// What an image of anybody's says of how it starts, as it says it: a user may be a name, and much may be missing.
package struct StatedConfig: Hashable, Sendable {
    package var architecture: Architecture
    /// `user`, `user:group`, in names or numbers; "" is root.
    package var user: String
    package var entryPoint: [String]
    package var command: [String]
    package var environment: [String: String]
    /// "" is the root.
    package var workingDirectory: String
    /// Digests of the uncompressed layers, the lowest first.
    package var diffIDs: [Digest]

    package init(parsing bytes: [UInt8]) throws {
        let json = try JSONValue(parsing: bytes)
        guard json["os"]?.text == "linux", let name = json["architecture"]?.text,
            let architecture = Architecture(rawValue: name)
        else { throw OCIManifest.unfit("config", "it is not for Linux on amd64 or arm64") }
        guard json["rootfs"]?["type"]?.text == "layers", let diffIDs = json["rootfs"]?["diff_ids"]?.elements
        else {
            throw OCIManifest.unfit("config", "it does not list its layers")
        }
        self.architecture = architecture
        self.diffIDs = try diffIDs.map { element in
            guard let text = element.text, text.hasPrefix("sha256:") else {
                throw OCIManifest.unfit("config", "a layer's digest is not a SHA-256")
            }
            return try Digest(parsing: text)
        }
        let run = json["config"] ?? .object([:])
        func texts(_ key: String) throws -> [String] {
            guard let value = run[key], value != .null else { return [] }
            guard let elements = value.elements else {
                throw OCIManifest.unfit("config", "\(key) is no list")
            }
            return try elements.map {
                guard let text = $0.text else { throw OCIManifest.unfit("config", "\(key) holds no text") }
                return text
            }
        }
        environment = [:]
        for pair in try texts("Env") {
            guard let equals = pair.firstIndex(of: "="), equals > pair.startIndex else {
                throw OCIManifest.unfit("config", "a variable of the environment has no name")
            }
            environment[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
        }
        user = run["User"]?.text ?? ""
        entryPoint = try texts("Entrypoint")
        command = try texts("Cmd")
        workingDirectory = run["WorkingDir"]?.text ?? ""
    }
}
