import Foundation
import Model
import Testing
import Trust

@testable import CommandLineTool

/// Feeds as files, which others renew while they are read.
@Suite final class FeedFilesTests {
    private let folder: String
    private var path: String { folder + "/feed.json" }
    private let packages = [InstalledPackage(name: "curl", version: "1", architecture: "amd64")]
    private let bookworm = ImageDistribution(id: "debian", version: "12")

    init() throws {
        folder = NSTemporaryDirectory() + "kiln-feed-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func tracker(_ ids: [String]) -> String {
        let faults = ids.map { #""\#($0)":{"releases":{"bookworm":{"status":"open","urgency":"high"}}}"# }
        return #"{"curl":{\#(faults.joined(separator: ","))}}"#
    }

    private func write(_ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    private func faults(_ files: FeedFiles) -> [String] {
        switch files.reading(path, packages: packages, distribution: bookworm) {
        case .read(let feed): feed.faults.map(\.id)
        case .missing: ["missing"]
        case .unreadable(let failure), .packagesUnknown(let failure): [failure.message]
        }
    }

    @Test func `a feed is read, with the time at which it was written`() throws {
        try write(tracker(["CVE-1"]))
        let written = Date(timeIntervalSince1970: 1_700_000_000)
        try FileManager.default.setAttributes([.modificationDate: written], ofItemAtPath: path)
        guard
            case .read(let feed) = FeedFiles().reading(path, packages: packages, distribution: bookworm)
        else {
            Issue.record("not read")
            return
        }
        #expect(feed.writtenAt == Instant(milliseconds: 1_700_000_000_000))
        #expect(feed.records == 1)
    }

    @Test func `what was read is remembered until the file is another one, by any of its marks`() throws {
        let files = FeedFiles()
        #expect(faults(files) == ["missing"])
        try write(tracker(["CVE-1"]))
        #expect(faults(files) == ["CVE-1"])
        // Renamed into its place with the same size and time.
        let time = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate]!
        try write(tracker(["CVE-2"]))
        try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: path)
        #expect(faults(files) == ["CVE-2"])
        // Written in place.
        try Data(tracker(["CVE-3"]).utf8).write(to: URL(fileURLWithPath: path))
        #expect(faults(files) == ["CVE-3"])
        try FileManager.default.removeItem(atPath: path)
        #expect(faults(files) == ["missing"])
    }

    @Test func `another image is another question`() throws {
        let files = FeedFiles()
        try write(tracker(["CVE-1"]))
        #expect(faults(files) == ["CVE-1"])
        let others = [InstalledPackage(name: "wget", version: "1", architecture: "amd64")]
        guard case .read(let feed) = files.reading(path, packages: others, distribution: bookworm) else {
            Issue.record("not read")
            return
        }
        #expect(feed.faults.isEmpty && feed.records == 1)
        let trixie = ImageDistribution(id: "debian", version: "13")
        guard case .unreadable = files.reading(path, packages: packages, distribution: trixie) else {
            Issue.record("believed for another release")
            return
        }
    }

    @Test(arguments: [13_000_000_000, 9_000_000_000_000_000])
    func `a feed may be of any time that a file can have`(seconds: Int) throws {
        try write(tracker(["CVE-1"]))
        var times = [timespec(tv_sec: seconds, tv_nsec: 0), timespec(tv_sec: seconds, tv_nsec: 0)]
        // Disks differ in how late a time they keep.
        guard utimensat(AT_FDCWD, path, &times, 0) == 0 else { return }
        #expect(faults(FeedFiles()) == ["CVE-1"])
    }

    @Test func `what is no file with records is unreadable, and nobody waits for it`() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        #expect(faults(FeedFiles()) == ["it is no regular file"])
        try FileManager.default.removeItem(atPath: path)
        #expect(mkfifo(path, 0o600) == 0)
        #expect(faults(FeedFiles()) == ["it is no regular file"])
        unlink(path)
        try write("")
        #expect(faults(FeedFiles()) == ["it is empty"])
        try write(String(tracker(["CVE-1"]).dropLast()))
        #expect(faults(FeedFiles()) == ["it is cut off"])
    }
}
