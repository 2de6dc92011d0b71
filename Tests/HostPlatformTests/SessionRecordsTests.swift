import Foundation
import Glibc
import Model
import Testing

@testable import HostPlatform

@Suite final class SessionRecordsTests {
    private let root: HostRoot
    private let folder: SessionFolder

    init() throws {
        root = try HostRoot(TestHost.freshFolder())
        folder = SessionFolder(root)
    }

    deinit {
        try? Files.removeTree(root.path)
        try? Files.removeTree(root.runFolder)
    }

    private func session() throws -> Session {
        let key = ServiceKey(try ServiceName("web"))
        return Session(
            number: 0, kind: .exec, instance: InstanceID(key, release: ReleaseNumber(1), ordinal: 1),
            key: key,
            by: "uid:0", reason: "x", command: ["sh"], begunAt: Instant(milliseconds: 0),
            until: Instant(milliseconds: 1))
    }

    @Test func `numbers go up by one, and the oldest records go when there are too many`() throws {
        try Files.makeFolder(folder.path)
        for number in 1...SessionFolder.kept {
            try Files.replace("\(folder.path)/\(number).json", with: "{}", durably: false)
        }
        try Files.replace(folder.recording(1), with: "old", durably: false)
        #expect(try folder.add(session()).number == SessionFolder.kept + 1)
        #expect(folder.numbers.count == SessionFolder.kept && folder.numbers.first == 2)
        #expect(!Files.exists(folder.recording(1)))
        #expect(folder.read(SessionFolder.kept + 1)?.reason == "x")
        #expect(folder.read(2) == nil)
    }

    @Test func `recordings are bounded by their bytes, and one of a session that goes on stays`() throws {
        // Files with a size and no content.
        for number in 1...6 {
            var session = try folder.add(session())
            if number != 2 {
                session.end = SessionEnd(.exited, "over", at: Instant(milliseconds: 2))
                try folder.write(session)
            }
            #expect(Files.exists("\(folder.path)/\(number).json"))
            try Files.replace(folder.recording(number), with: "", durably: false)
            truncate(folder.recording(number), off_t(SessionFolder.keptBytes / 3))
        }
        _ = try folder.add(session())
        #expect(folder.numbers == [2, 4, 5, 6, 7])
        #expect(Files.exists(folder.recording(2)) && !Files.exists(folder.recording(3)))
    }

    @Test func `a recording is as long as it may be and no longer, and has the digest of its bytes`() throws {
        let session = try folder.add(session())
        let path = folder.recording(session.number)
        var recording = try SessionRecording(session, at: path)
        let block = [UInt8](repeating: 65, count: 1 << 20)
        #expect(throws: Failure.self) {
            for _ in 0...(SessionRecording.longest >> 20) { try recording.add(block, .output) }
        }
        let digest = try recording.close()
        let stored = try #require(SessionRecording.digest(of: path))
        #expect(stored.digest == digest && stored.bytes == recording.bytes)
        #expect(recording.bytes <= SessionRecording.longest && recording.bytes > 14 << 20)
        // A second session of that number could not write over it.
        #expect(throws: Failure.self) { _ = try SessionRecording(session, at: path) }
    }
}
