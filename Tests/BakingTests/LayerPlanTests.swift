import ImageFormat
import Model
import TestKit
import Testing

@testable import Baking

struct LayerPlanTests {
    private static func package(
        _ name: String, _ source: String? = nil, size: Int = 1000, version: String = "1-1"
    )
        -> Lock.Package
    {
        let source = source ?? name
        return Lock.Package(
            name: name, version: version, architecture: "all", archive: "debian",
            path: "pool/main/\(source.prefix(1))/\(source)/\(name)_\(version)_all.deb", size: size,
            sha256: .sha256(Array(name.utf8)))
    }

    private static func lock(_ packages: [Lock.Package]) throws -> Lock {
        Lock(
            distribution: try .init(parsing: "debian/bookworm"), architecture: .amd64, base: .minimal,
            requested: [], archives: [], packages: packages, layers: [])
    }

    /// Packages of sources of one to four packages each.
    private static func packages(_ count: Int, seed: UInt64) -> [Lock.Package] {
        var generator = SeededGenerator(seed: seed)
        return [package("base-files", size: 70_000)]
            + (0..<count).map { number in
                package(
                    "p\(number)", "s\(number / Int.random(in: 1...4, using: &generator))",
                    size: Int.random(in: 1000...9_000_000, using: &generator),
                    version: Bool.random(using: &generator) ? "1-1+deb12u2" : "1-1")
            }
    }

    @Test(arguments: [3, 10, 32, 120], [0, 1, 40, 300])
    func `every package is in one layer, sources stay together, and the budget holds`(budget: Int, count: Int)
        throws
    {
        var lock = try LayerPlanTests.lock(LayerPlanTests.packages(count, seed: UInt64(budget + count)))
        lock.planLayers(budget: budget)
        #expect(lock.layers.joined().sorted() == lock.packages.map(\.name).sorted())
        #expect(lock.layers.count <= budget - 2)
        #expect(lock.layers[0].contains("base-files") || lock.layers.count == 1)
        for source in Set(lock.packages.map(\.source)) {
            let names = Set(lock.packages.filter { $0.source == source }.map(\.name))
            #expect(lock.layers.filter { !names.isDisjoint(with: $0) }.count == 1)
        }
    }

    @Test func `the order of packages decides nothing`() throws {
        let packages = LayerPlanTests.packages(80, seed: 7)
        var one = try LayerPlanTests.lock(packages)
        var two = try LayerPlanTests.lock(packages.reversed())
        one.planLayers(budget: 20)
        two.planLayers(budget: 20)
        #expect(one.layers == two.layers)
    }

    @Test func `what was updated before is kept apart from what never was`() throws {
        let quiet = (0..<9).map { LayerPlanTests.package("quiet\($0)") }
        let restless = (0..<9).map { LayerPlanTests.package("restless\($0)", version: "1-1+deb12u\($0)") }
        var lock = try LayerPlanTests.lock(quiet + restless)
        lock.planLayers(budget: 6)
        let mixed = lock.layers.filter { layer in
            layer.contains { $0.hasPrefix("quiet") } && layer.contains { $0.hasPrefix("restless") }
        }
        #expect(mixed.isEmpty)
    }

    @Test(arguments: 0..<20)
    func `an update of one source leaves all other layers as they were`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var old = try LayerPlanTests.lock(LayerPlanTests.packages(100, seed: seed))
        old.planLayers(budget: 32)
        var new = old
        let place = Int.random(in: new.packages.indices, using: &generator)
        new.packages[place].version = "9-9"
        new.packages[place].size *= 50
        // One package more, and one less.
        new.packages.append(LayerPlanTests.package("zz", new.packages[place].source))
        let gone = new.packages.remove(at: (place + 1) % 100).name
        new.planLayers(budget: 32, keeping: old)
        #expect(new.layers.filter { !old.layers.contains($0) }.count <= 2)
        #expect(
            new.layers.first { $0.contains("zz") }?.contains(new.packages[place < 99 ? place : 98].name)
                != nil)
        #expect(!new.layers.joined().contains(gone))
        #expect(new.layers.joined().sorted() == new.packages.map(\.name).sorted())
    }

    @Test func `another budget plans anew`() throws {
        var old = try LayerPlanTests.lock(LayerPlanTests.packages(100, seed: 1))
        old.planLayers(budget: 10)
        var new = old
        new.planLayers(budget: 60, keeping: old)
        #expect(new.layers.count > 50)
    }

    @Test(arguments: [
        ("pool/main/o/openssl/libssl3_3.0_amd64.deb", "openssl"),
        ("pool/updates/main/o/openssl/openssl_3.0_amd64.deb", "openssl"),
        ("./x.deb", "name"), ("pool/x.deb", "name"),
        ("amd64/x.deb", "name"),
    ])
    func `sources are folders of a pool`(path: String, source: String) {
        var package = LayerPlanTests.package("name")
        package.path = path
        #expect(package.source == source)
    }
}
