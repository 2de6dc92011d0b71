internal import ArgumentParser
internal import Foundation
internal import Model
internal import Ports
internal import SpecFile

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
}

struct OutputOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "How to answer: text for people, json for programs.")
    var output: OutputFormat = .text
}

struct RootOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder with all of Kiln's state (default: $KILN_ROOT, else /var/lib/kiln).", valueName: "dir"),
        completion: .directory)
    var root: String?

    /// Argument, then environment, then default.
    var path: String {
        let stated = ProcessInfo.processInfo.environment["KILN_ROOT"].flatMap { $0.isEmpty ? nil : $0 }
        let chosen = root ?? stated ?? "/var/lib/kiln"
        return URL(fileURLWithPath: chosen).standardizedFileURL.path
    }

    func openStore() throws -> any CollectibleStore { try Adapters.require().openStore(path) }
}

struct DaemonOptions: ParsableArguments {
    @OptionGroup var root: RootOptions
    @Option(help: ArgumentHelp("The daemon's socket, if it is not ROOT/kiln.sock.", valueName: "path"))
    var socket: String?

    var socketPath: String { socket ?? root.path + "/kiln.sock" }

    func withDaemon<Result>(_ body: (DaemonClient) async throws -> Result) async throws -> Result {
        try await body(DaemonClient(socket: socketPath))
    }
}

struct MessageOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "Why, for the ledger and for those who read the history.")
    var message: String?
}

struct EnvironmentOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "The environment that the service is deployed to, such as staging.")
    var environment: String = EnvironmentName.production.text

    func key(_ service: ServiceName) throws -> ServiceKey {
        ServiceKey(service, in: try EnvironmentName(environment))
    }
}

struct SpecOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "The spec.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String = "kiln.yaml"

    /// The folder that `files:` are relative to.
    var folder: String { SpecReading.folder(of: file) }

    func lockPath(_ recipe: Recipe) -> String { folder + "/" + SpecReading.lockName(recipe) }

    func read() throws -> Spec { try reading().spec }

    func reading() throws -> SpecReading { try SpecReading(file) }

    static func read(_ file: String) throws -> Spec { try SpecReading(file).spec }
}

struct ServiceArgument: ParsableArguments {
    @Argument(help: "The service, as in kiln.yaml; service@environment outside production.")
    var service: String

    func key() throws -> ServiceKey { try ServiceKey(parsing: service) }
}
