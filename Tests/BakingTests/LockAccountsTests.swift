import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// Files in volumes belong to numbers: a number that an account has once stays its own.
struct LockAccountsTests {
    private static func package(_ name: String, id: Int? = nil) -> PackageMaker {
        var package = PackageMaker(name)
        let number = id.map { "--uid \($0) " } ?? ""
        package.scripts["postinst"] = "adduser --system --group \(number)\(name)\n"
        return package
    }

    private static func settled(_ packages: [PackageMaker], keeping old: Lock? = nil) async throws -> Lock {
        let bench = try BakeBench(packages)
        var lock = try PackageMaker.lock(packages)
        let baker = ImageBaker(
            store: bench.store, host: HostApt(root: bench.folder.path + "/host"),
            clock: { Instant(milliseconds: 1) })
        try await baker.settle(&lock, try bench.recipe(), keeping: old)
        return lock
    }

    @Test func `other packages come and go, and the numbers stay`() async throws {
        let first = try await LockAccountsTests.settled(
            PackageMaker.small + [LockAccountsTests.package("mm")])
        #expect(first.accounts == ["mm": 100, "server": 101])
        let both = [LockAccountsTests.package("aa"), LockAccountsTests.package("mm")]
        let anew = try await LockAccountsTests.settled(PackageMaker.small + both)
        #expect(anew.accounts == ["aa": 100, "mm": 101, "server": 102])
        let kept = try await LockAccountsTests.settled(PackageMaker.small + both, keeping: first)
        #expect(kept.accounts == ["aa": 102, "mm": 100, "server": 101])
        let less = try await LockAccountsTests.settled(PackageMaker.small, keeping: kept)
        #expect(less.accounts == ["server": 101])
    }

    @Test func `a number that a package names itself goes before`() async throws {
        let first = try await LockAccountsTests.settled(
            PackageMaker.small + [LockAccountsTests.package("mm")])
        let claimed = try await LockAccountsTests.settled(
            PackageMaker.small + [LockAccountsTests.package("mm"), LockAccountsTests.package("zz", id: 101)],
            keeping: first)
        #expect(claimed.accounts["mm"] == 100)
        #expect(claimed.accounts["server"] != 101)
        #expect(claimed.accounts["zz"] == nil)
    }

    @Test func `a bake follows the numbers of its lock, and another lock gives another image`() async throws {
        var images: Set<Digest> = []
        for id in [100, 250] {
            let bench = try BakeBench()
            var lock = try PackageMaker.lock(PackageMaker.small)
            lock.accounts = ["server": id]
            let image = try await ImageBaker(
                store: bench.store, host: HostApt(root: bench.folder.path + "/host"),
                clock: { Instant(milliseconds: 1) }
            ).bake(
                try bench.recipe(), specFolder: bench.folder.path + "/spec", lock: lock,
                service: try ServiceName("test")
            ).image
            #expect(image.config.user == "\(id):\(id)")
            #expect(try bench.entries(image)["var/lib/server"]?.uid == id)
            images.insert(image.digest)
        }
        #expect(images.count == 2)
    }

    @Test func `a lock of another Kiln is told of`() async throws {
        let bench = try BakeBench()
        var lock = try PackageMaker.lock(PackageMaker.small)
        lock.tools["effects"] = 1
        let result = try await ImageBaker(
            store: bench.store, host: HostApt(root: bench.folder.path + "/host"),
            clock: { Instant(milliseconds: 1) }
        ).bake(
            try bench.recipe(), specFolder: bench.folder.path + "/spec", lock: lock,
            service: try ServiceName("test"))
        #expect(result.warnings.contains { $0.contains("kiln lock") })
    }
}
