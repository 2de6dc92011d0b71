internal import Baking
internal import CommandLineTool
internal import Foundation
internal import HostPlatform
internal import Notary
internal import Storage

/// The executable: picks the adapters and hands them to the verbs. The only place that knows every part.
@main
enum Kiln {
    static func main() async {
        // A closed pipe is an error to report, not a reason to die.
        signal(SIGPIPE, SIG_IGN)
        let adapters = Adapters(
            openStore: { try ContentStore($0 + "/store") },
            imagesInUse: { try Database.imagesInUse($0 + "/kiln.db") },
            openLedger: { root, toRead in
                try toRead ? LedgerFile.reading(root + "/kiln.db") : LedgerFile(root + "/kiln.db")
            },
            serve: { try await Daemon.serve($0) },
            examineHost: {
                await HostDoctor().checks().map {
                    HostCheck(name: $0.name, isFine: $0.isFine, found: $0.found, suggestion: $0.suggestion)
                }
            })
        exit(await KilnCommand.run(Array(CommandLine.arguments.dropFirst()), with: adapters))
    }
}
