import Foundation
import Model
import TestKit
import Testing

@testable import Baking

/// The packages of a lock are those that apt itself would install on an empty system.
struct AptComparisonTests {
    private enum Limit {
        /// Sets of every run, and of `make packages`.
        static let few = 15
        static let many = 200
        static let packages = 6
    }

    /// Of these no two can be installed together.
    private static let rivals = [
        "postfix", "exim4-daemon-light", "exim4-daemon-heavy", "opensmtpd", "sendmail-bin", "nullmailer",
    ]

    @Test func `random sets of packages are solved, or refused, as apt does`() async throws {
        let folder = try TemporaryFolder()
        let store = try FolderStore(folder.path + "/store")
        let apt = try await PlainApt(folder: folder.path + "/apt", suite: "bookworm")
        let (real, hollow) = try await apt.names()
        try #require(real.count > 1000 && hollow.count > 100)
        let isWhole = ProcessInfo.processInfo.environment["KILN_ALL_PACKAGES"] != nil
        var generator = SeededGenerator(seed: 4)
        var refused = 0
        var packages = 0
        let count = isWhole ? Limit.many : Limit.few
        for _ in 0..<count {
            var names = Set(
                (0..<Int.random(in: 1...Limit.packages, using: &generator)).map { _ in
                    real.randomElement(using: &generator) ?? ""
                })
            if generator.happens(percent: 10) {
                names.formUnion(Self.rivals.shuffled(using: &generator).prefix(2))
            }
            if generator.happens(percent: 5) { names.insert(hollow.randomElement(using: &generator) ?? "") }
            let request = names.sorted()
            let base = ["base-files", "base-passwd", "libc-bin"]
            let expected = try await apt.installed(base + request)
            let solved = await solve(request, in: store)
            #expect(solved == expected, "\(request)")
            refused += expected == nil ? 1 : 0
            packages += expected?.count ?? 0
        }
        print("solved \(count - refused) sets of \(packages) packages as apt does, refused \(refused)")
        #expect(refused > 0 && refused < count / 2)
    }

    /// What the lock of a request has, each `name version architecture`; nil where it is refused.
    private func solve(_ names: [String], in store: FolderStore) async -> Set<String>? {
        do {
            let recipe = Recipe(
                distribution: try .init(parsing: "debian/bookworm"),
                packages: try names.map { try .init(parsing: $0) }, command: ["x"])
            let lock = try await PackageSolver(store: store).lock(recipe)
            return Set(lock.packages.map { "\($0.name) \($0.version) \($0.architecture)" })
        } catch {
            let codes = Set(Failure.list(error).map(\.code))
            #expect(codes.isSubset(of: [.packageUnknown, .conflict]), "\(names): \(error)")
            return nil
        }
    }
}
