import Foundation
import ImageFormat
import Model
import RegistryClient
import Storage
import TestWeb
import Testing
import TestKit

/// The program itself, killed and starved in the middle of a pull.
@Suite struct CrashTests {
    private static let program = ProgramTests.path
    private static let looks = 6000

    private func start(_ root: String, _ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CrashTests.program)
        process.arguments = ["image"] + arguments + ["--root", root]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    @Test(.timeLimit(.minutes(60)), arguments: [SIGKILL, SIGINT])
    func `a pull that is stopped leaves a good store, and the next one ends it`(signal: Int32) async throws {
        // What the large layer's answer breaks off with keeps the program waiting for another try.
        let image = TestImage(layers: [2000, 900_000])
        var behaviour = RegistryDouble.Behaviour()
        let layer = image.blobs[2].digestText
        behaviour.fault = { asked, number in
            asked.method == "GET" && asked.path.hasSuffix(layer) && number == 1
                ? .cut(percent: 70)
                : asked.method == "GET" && asked.path.hasSuffix(layer) && number == 2
                    ? .status(503, headers: ["retry-after": "100"]) : nil
        }
        let registry = try await RegistryDouble(behaviour)
        registry.put(image, as: "v1", in: "app")
        let folder = try TemporaryFolder()
        let name = "\(registry.address)/app:v1"
        let process = try start(folder.path, ["pull", name])
        let store = try ContentStore(folder.path + "/store")
        func isWaiting() -> Bool {
            registry.asked.filter { $0.method == "GET" && $0.path.hasSuffix(layer) }.count == 2
                && store.path(of: .sha256(image.blobs[1])) != nil
        }
        for _ in 1...CrashTests.looks where !isWaiting() { try await Task.sleep(for: .milliseconds(50)) }
        kill(process.processIdentifier, signal)
        process.waitUntilExit()

        #expect(try store.images().isEmpty)
        #expect(
            store.path(of: .sha256(image.blobs[2])) == nil && store.path(of: .sha256(image.blobs[1])) != nil)
        try store.sweep()
        let left = try FileManager.default.contentsOfDirectory(atPath: store.root + "/tmp")
        #expect(left.isEmpty, "\(left)")
        let again = try start(folder.path, ["pull", name])
        again.waitUntilExit()
        #expect(again.terminationStatus == 0)
        #expect(try store.images().map(\.digest) == [image.digest])
        #expect(try store.read(.sha256(image.blobs[2]), limit: 1 << 21) == image.blobs[2])
    }

    @Test(.enabled(if: geteuid() == 0), arguments: [1, 2, 3])
    func `a full disk is named, and nothing half-made is kept`(
        megabytes: Int
    ) async throws {
        let image = TestImage(layers: [700_000, 900_000, 3_000_000])
        let registry = try await RegistryDouble()
        registry.put(image, as: "v1", in: "app")
        let folder = try TemporaryFolder()
        let disk = folder.path + "/disk"
        #expect(
            shell("mkdir '\(disk)' && mount -t tmpfs -o size=\(megabytes)m kiln-test '\(disk)'").status == 0)
        defer { shell("umount '\(disk)'") }
        let store = try ContentStore(disk + "/store")
        try await Bench.run { bench in
            let source = try bench.client.source(try RegistryReference(parsing: "\(registry.address)/app:v1"))
            func pull() async throws {
                let plan = try await CopyPlan.of(source, .all)
                let sink = try await StoreSink(
                    store, plan, from: source, name: nil, now: Instant(milliseconds: 0))
                _ = try await ImageCopier(from: source, to: sink).run(plan)
            }
            let failure = await #expect(throws: Failure.self) { try await pull() }
            #expect(failure?.code == .diskFull)
            #expect(try FileManager.default.contentsOfDirectory(atPath: store.root + "/tmp").isEmpty)
            #expect(try store.images().isEmpty)
            #expect(shell("mount -o remount,size=20m '\(disk)'").status == 0)
            try await pull()
            #expect(try store.images().map(\.digest) == [image.digest])
        }
    }
}
