internal import ArgumentParser
internal import Foundation
internal import ImageFormat
internal import Model
internal import Ports
internal import RegistryClient

/// How registries are spoken to: arguments, then the environment, then files.
struct RegistryOptions: ParsableArguments {
    @Flag(help: "Speak plain HTTP to the registries that are named. This machine's own need no saying.")
    var plainHttp = false
    @Option(
        help: ArgumentHelp("Trust this certificate authority too (PEM).", valueName: "file"),
        completion: .file())
    var ca: String?
    @Option(
        help: ArgumentHelp(
            "Credentials to use instead of those of docker and podman.", valueName: "file"),
        completion: .file())
    var authFile: String?
    @Option(
        help: ArgumentHelp(
            "Mirrors and the like (default: $KILN_REGISTRIES, else ~/.config/kiln/registries.json).",
            valueName: "file"), completion: .file())
    var registries: String?

    func settings() throws -> RegistrySettings {
        let environment = ProcessInfo.processInfo.environment
        var settings = RegistrySettings()
        settings.isPlainAllowed = plainHttp
        settings.authorities = ca.map { [$0] } ?? []
        settings.certificateFolders = ["/etc/docker/certs.d", "/etc/containers/certs.d"]
        if let home = environment["HOME"] {
            settings.certificateFolders.insert("\(home)/.config/containers/certs.d", at: 0)
        }
        let stated = registries ?? environment["KILN_REGISTRIES"]
        let usual = environment["HOME"].map { "\($0)/.config/kiln/registries.json" }
        if let file = stated ?? usual, let bytes = try read(file, isStated: stated != nil) {
            settings.rules = try RegistryRules(parsing: bytes, place: file)
        }
        settings.credentials = try credentialFiles(environment).compactMap { file, isStated in
            try read(file, isStated: isStated).map { try DockerConfig(parsing: $0, place: file) }
        }
        return settings
    }

    /// Where docker and podman keep who we are.
    private func credentialFiles(_ environment: [String: String]) -> [(file: String, isStated: Bool)] {
        if let file = authFile ?? environment["REGISTRY_AUTH_FILE"] { return [(file, true)] }
        var files: [(String, Bool)] = []
        let docker = environment["DOCKER_CONFIG"] ?? environment["HOME"].map { "\($0)/.docker" }
        if let docker { files.append(("\(docker)/config.json", false)) }
        let runtime = environment["XDG_RUNTIME_DIR"] ?? "/run/user/\(getuid())"
        files.append(("\(runtime)/containers/auth.json", false))
        if let home = environment["HOME"] { files.append(("\(home)/.config/containers/auth.json", false)) }
        return files
    }

    private func read(_ file: String, isStated: Bool) throws -> [UInt8]? {
        guard FileManager.default.fileExists(atPath: file) else {
            guard isStated else { return nil }
            throw Failure(.fileMissing, "there is no such file", at: file)
        }
        guard let data = FileManager.default.contents(atPath: file) else {
            // A file of somebody else's in the usual place is not ours to read.
            guard isStated else { return nil }
            throw Failure(.notPermitted, "this cannot be read", at: file)
        }
        return Array(data)
    }

    func withClient<Result>(_ body: (RegistryClient) async throws -> Result) async throws -> Result {
        try await RegistryOptions.withClient(try settings(), body)
    }

    static func withClient<Result>(
        _ settings: RegistrySettings, _ body: (RegistryClient) async throws -> Result
    ) async throws -> Result {
        let client = RegistryClient(settings)
        do {
            let result = try await body(client)
            try await client.close()
            return result
        } catch {
            try? await client.close()
            throw error
        }
    }
}

struct PlatformOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Of an image for several platforms, this one: linux/arm64.", valueName: "os/arch"))
    var platform: String?
    @Flag(help: "Of an image for several platforms, all of them.")
    var allPlatforms = false

    func validate() throws {
        if platform != nil, allPlatforms {
            throw ValidationError("say --platform or --all-platforms, not both")
        }
    }

    /// What is meant, or `otherwise` where nothing is said.
    func choice(otherwise: PlatformChoice) throws -> PlatformChoice {
        if allPlatforms { return .all }
        return try platform.map { .one(try OCIPlatform(parsing: $0)) } ?? otherwise
    }
}
