import Foundation
import HostPlatform
import Logging
import Model
import Ports
import Trust

/// What looking for drift costs, and how soon it finds: a host full of quiet instances, then visitors from outside.
/// Prints one JSON object. Arguments: how many instances, and for how many seconds they are looked at.
@main
struct DriftBenchmark {
    private static let visits = 20
    private static let programs = 500
    /// How long a visitor may go unseen.
    private static let patience = Duration.seconds(20)

    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst().compactMap { Int($0) }
        let (instances, seconds) = (arguments.first ?? 100, arguments.dropFirst().first ?? 30)
        let folder = FileManager.default.currentDirectoryPath + "/drift-benchmark-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let platform = try await HostPlatform(
            root: HostRoot(folder), reader: BusyboxImage(),
            log: Logger(label: "drift") { _ in SwiftLogNoOpLogHandler() })
        do {
            try await measure(platform, instances: instances, seconds: seconds)
        } catch {
            try await end(platform)
            throw error
        }
        try await end(platform)
    }

    private static func end(_ platform: HostPlatform) async throws {
        for instance in try await platform.observe() { try await platform.remove(instance.id, grace: .zero) }
        try await platform.forgetImages(except: [])
        try await platform.tearDown()
    }

    private static func measure(_ platform: HostPlatform, instances: Int, seconds: Int) async throws {
        for image in [BusyboxImage.guarded, BusyboxImage.other] { try await platform.prepare(image) }
        for ordinal in 1...instances { try await platform.launch(BusyboxImage.order(ordinal)) }
        // The first look at each of them is another one than all later ones.
        try await Task.sleep(for: .seconds(8))
        let clock = ContinuousClock()
        let (used, start) = (processorSeconds, clock.now)
        try await Task.sleep(for: .seconds(seconds))
        let share = (processorSeconds - used) / Double((clock.now - start).components.seconds)
        let seen = try await platform.observe()
        var lines = [
            "\"instances\": \(seen.count)", "\"share of a core\": \(share)",
            "\"false findings\": \(seen.map(\.drifts.count).reduce(0, +))",
        ]
        let plain = try executing(in: BusyboxImage.other, platform)
        let asked = try executing(in: BusyboxImage.guarded, platform)
        lines.append("\"an exec, milliseconds\": \(plain)")
        lines.append("\"an exec that is asked about, milliseconds\": \(asked)")
        var times: [Double] = []
        for instance in seen.prefix(visits) {
            guard let pid = instance.processID else { continue }
            let start = clock.now
            let visitor = Process()
            visitor.executableURL = URL(fileURLWithPath: "/bin/sh")
            visitor.arguments = ["-c", "nsenter -t \(pid) -n sleep 1; true"]
            try visitor.run()
            while try await platform.observe().first(where: { $0.id == instance.id })?.drifts.isEmpty
                != false,
                clock.now - start < patience
            {
                try await Task.sleep(for: .milliseconds(1))
            }
            times.append(milliseconds(clock.now - start))
            visitor.waitUntilExit()
        }
        times.sort()
        if let last = times.last {
            lines.append("\"a visitor found, milliseconds at the median\": \(times[times.count / 2])")
            lines.append("\"a visitor found, milliseconds at most\": \(last)")
        }
        print("{\(lines.joined(separator: ", "))}")
    }

    /// Milliseconds of one program of many that a shell runs one after the other in an image's tree.
    private static func executing(in image: Digest, _ platform: HostPlatform) throws -> Double {
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/usr/sbin/chroot")
        let script = "i=0; while [ $i -lt \(programs) ]; do /bin/busybox true; i=$((i+1)); done"
        shell.arguments = [platform.root.imageMount(image), "/bin/busybox", "sh", "-c", script]
        let start = ContinuousClock().now
        try shell.run()
        shell.waitUntilExit()
        return milliseconds(ContinuousClock().now - start) / Double(programs)
    }

    private static func milliseconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) * 1000 + Double(duration.components.attoseconds) / 1e15
    }

    private static var processorSeconds: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }
}

/// A static busybox that serves a page.
private struct BusyboxImage: ImageReader {
    static let guarded = Digest.sha256(of: Array("guarded".utf8))
    static let other = Digest.sha256(of: Array("other".utf8))

    func image(_ digest: Digest) throws -> Image {
        Image(
            digest: digest,
            config: ImageConfig(
                architecture: .amd64, user: "33:33",
                command: ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"], environment: [:],
                workingDirectory: "/"), layers: [])
    }

    func unpack(_ digest: Digest, into folder: String) async throws {
        for name in ["bin", "proc", "sys", "dev", "www"] {
            try FileManager.default.createDirectory(
                atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        try FileManager.default.copyItem(atPath: "/usr/bin/busybox", toPath: "\(folder)/bin/busybox")
    }

    static func order(_ ordinal: Int) throws -> LaunchOrder {
        let key = ServiceKey(try ServiceName("web"))
        let run = RunSettings(port: 8080, health: HealthCheck(.http(path: "/")))
        return LaunchOrder(
            id: InstanceID(key, release: ReleaseNumber(1), ordinal: ordinal),
            release: Release(
                key: key, number: ReleaseNumber(1),
                content: Release.Content(image: guarded, run: run, rollout: RolloutSettings(), listen: nil),
                digest: guarded, createdAt: Instant(milliseconds: 0), by: "benchmark", message: ""))
    }
}
