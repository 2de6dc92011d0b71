import ImageFormat
import Model
import NIOHTTP1
import Synchronization
import TestWeb
import Testing
import TestKit

@testable import Baking

/// Mirrors as they are on bad days, over real HTTP.
struct MirrorFaultTests {
    private static let package: PackageMaker = {
        var package = PackageMaker("large")
        package.file("usr/share/large", String((0..<40_000).map { "\($0)," }.joined()))
        return package
    }()

    enum Day: String, Sendable, CaseIterable {
        case wrong, wrongHalf, longer, missing, broken, silent, stalls, endsEarly, endsEarlyWithoutRanges
    }

    /// A mirror that has such a day, for all requests.
    private static func mirror(_ day: Day?, asked: Asked? = nil) async throws -> WebServer {
        let bytes = package.bytes
        return try await WebServer { request in
            let range = request.headers["range"].first
            asked?.ranges.withLock { $0.append(range) }
            let from = range.flatMap { Int($0.dropFirst("bytes=".count).prefix { $0 != "-" }) } ?? 0
            let ignoresRanges = day == .endsEarlyWithoutRanges
            let start = ignoresRanges ? 0 : from
            var answer = WebServer.Answer(start > 0 ? 206 : 200, body: Array(bytes[start...]))
            if start > 0 {
                answer.headers["content-range"] = "bytes \(start)-\(bytes.count - 1)/\(bytes.count)"
            }
            switch day {
            case nil: break
            case .wrong: answer.body[answer.body.count / 2] ^= 1
            case .wrongHalf:
                answer.body[0] ^= 1
                answer.sent = answer.body.count / 2
            case .longer: answer.body += [0]
            case .missing: answer = WebServer.Answer(404)
            case .broken: answer = WebServer.Answer(503)
            case .silent: answer.isSilent = true
            case .stalls: answer.stalled = answer.body.count / 2
            case .endsEarly, .endsEarlyWithoutRanges: answer.sent = answer.body.count / 2
            }
            return answer
        }
    }

    /// `day`: of the first mirror. Only one that stalls makes anybody wait; the patience is the good one's as well, which has to
    /// answer in it on a busy machine.
    private static func fetch(_ mirrors: [WebServer], _ day: Day? = nil, into store: FolderStore) async throws
    {
        let sources = AptSources(
            all: mirrors.map {
                AptSources.Source(
                    uri: "http://\($0.address)/debian", suites: ["bookworm"], components: ["main"],
                    keyring: .file("/none"))
            })
        try await PackageFetcher(
            store: store, sources: sources, patience: .seconds(60),
            pause: .milliseconds(1)
        ).fetch(try PackageMaker.lock([package]))
    }

    @Test(arguments: Day.allCases) func `a bad mirror costs time, and the next one serves`(day: Day)
        async throws
    {
        let folder = try TemporaryFolder()
        let store = try FolderStore(folder.path + "/store")
        let (bad, good) = (try await MirrorFaultTests.mirror(day), try await MirrorFaultTests.mirror(nil))
        try await MirrorFaultTests.fetch([bad, good], day, into: store)
        let locked = MirrorFaultTests.package.locked
        #expect(try store.read(locked.sha256, limit: 1 << 24) == MirrorFaultTests.package.bytes)
        #expect(HostFiles.names(in: try store.folder("partial")).isEmpty)
    }

    @Test(arguments: Day.allCases) func `alone it is named, with what to do`(day: Day) async throws {
        let folder = try TemporaryFolder()
        let store = try FolderStore(folder.path + "/store")
        let bad = try await MirrorFaultTests.mirror(day)
        let found = await failures { try await MirrorFaultTests.fetch([bad], day, into: store) }
        // What ends early goes on where it ended, half of the rest each time, and never gets there.
        let isWrong = [.wrong, .longer].contains(day)
        #expect(found.map(\.code) == [isWrong ? .hashMismatch : .archiveUnreachable])
        #expect(found.first?.suggestion?.contains("mirror") == true)
        #expect(HostFiles.names(in: folder.path + "/store/blobs").isEmpty)
        // Whatever it left of the file does no harm to a good one afterwards.
        try await MirrorFaultTests.fetch([try await MirrorFaultTests.mirror(nil)], into: store)
        #expect(store.path(of: MirrorFaultTests.package.locked.sha256) != nil)
    }

    @Test func `a file goes on where it ended, also at another mirror`() async throws {
        let folder = try TemporaryFolder()
        let store = try FolderStore(folder.path + "/store")
        let asked = Asked()
        let good = try await MirrorFaultTests.mirror(nil, asked: asked)
        try await MirrorFaultTests.fetch([try await MirrorFaultTests.mirror(.endsEarly), good], into: store)
        let ranges = asked.ranges.withLock { $0 }
        #expect(ranges.count == 1 && ranges[0] != nil)
    }

    private final class Asked: Sendable { let ranges = Mutex<[String?]>([]) }
}
