import Foundation
import Testing
import TestKit

/// The store under programs that are killed and disks that are full.
extension OnThisHost {
    @Suite struct StoreTests {
        private static let looks = 20_000

        /// A site whose packages are there, and the digest of its image.
        private static func prepared(_ site: Site) throws -> (spec: String, digest: String) {
            let spec = site.folder + "/v1/kiln.yaml"
            let result = try KilnProgram.run(["bake", "--file", spec, "--root", site.root])
            #expect(result.status == 0, "\(result.errors)")
            return (spec, String(result.output.prefix { $0 != " " }))
        }

        /// Leaves the packages, and nothing that was made of them.
        private static func forget(_ root: String, _ spec: String) throws {
            let lock = try String(
                contentsOfFile: spec.replacing("kiln.yaml", with: "kiln.lock"), encoding: .utf8)
            let blobs = root + "/store/blobs/sha256"
            for name in try FileManager.default.contentsOfDirectory(atPath: blobs) where !lock.contains(name)
            {
                try FileManager.default.removeItem(atPath: "\(blobs)/\(name)")
            }
            for folder in ["cache", "images"] {
                let path = "\(root)/store/\(folder)"
                if FileManager.default.fileExists(atPath: path) {
                    try FileManager.default.removeItem(atPath: path)
                }
            }
        }

        private static func expectClean(_ root: String) throws {
            let check = try KilnProgram.run(["store", "check", "--root", root])
            #expect(check.status == 0, "\(check.output)\(check.errors)")
        }

        @Test
        func `a bake that is killed anywhere leaves a good store, and the next one gives the same image`()
            throws
        {
            let site = try Site()
            let (spec, digest) = try StoreTests.prepared(site)
            let blobs = site.root + "/store/blobs/sha256"
            func count() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: blobs).count) ?? 0 }
            let all = count()
            try StoreTests.forget(site.root, spec)
            let packages = count()
            var killed = 0
            for share in [0, 1, 2, 4, 6, 8, 9] {
                try StoreTests.forget(site.root, spec)
                let wanted = packages + (all - packages) * share / 10
                let bake = try KilnProgram.start(["bake", "--file", spec, "--root", site.root])
                for _ in 1...StoreTests.looks where count() < wanted && bake.process.isRunning { usleep(100) }
                if bake.process.isRunning {
                    kill(bake.process.processIdentifier, SIGKILL)
                    killed += 1
                }
                _ = try KilnProgram.finish(bake)
                try StoreTests.expectClean(site.root)
                let collection = try KilnProgram.run([
                    "store", "gc", "--root", site.root, "--unused-for",
                    share.isMultiple(of: 2) ? "0s" : "30d",
                ])
                #expect(collection.status == 0, "\(collection.errors)")
                try StoreTests.expectClean(site.root)
                let again = try KilnProgram.run(["bake", "--file", spec, "--root", site.root])
                #expect(again.status == 0 && again.output.hasPrefix(digest), "\(again.errors)")
            }
            #expect(killed > 0)
            try StoreTests.expectClean(site.root)
        }

        @Test(arguments: [35, 60, 80, 95])
        func `a disk that fills up is named, and the store stays good`(share: Int) throws {
            let site = try Site()
            let (spec, digest) = try StoreTests.prepared(site)
            let used = shell("du -sk '\(site.root)/store/blobs' | cut -f1").output
            let size = (Int(used.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0) * share / 100
            let disk = site.folder + "/disk"
            #expect(
                shell("mkdir '\(disk)' && mount -t tmpfs -o size=\(size)k kiln-test '\(disk)'").status == 0)
            defer { shell("umount '\(disk)'") }
            let bake = ["bake", "--file", spec, "--root", disk]
            let failed = try KilnProgram.run(bake)
            #expect(failed.status == 1 && failed.errors.contains("free some"), "\(failed.errors)")
            #expect(shell("mount -o remount,size=1g '\(disk)'").status == 0)
            try StoreTests.expectClean(disk)
            let again = try KilnProgram.run(bake)
            #expect(again.status == 0 && again.output.hasPrefix(digest), "\(again.errors)")
            try StoreTests.expectClean(disk)
        }

        @Test func `a collection takes what releases left, and nothing that one needs`() async throws {
            let site = try Site()
            let (_, digest) = try StoreTests.prepared(site)
            let dry = try KilnProgram.run([
                "store", "gc", "--dry-run", "--root", site.root, "--unused-for", "0s",
            ])
            #expect(dry.status == 0 && dry.output.hasPrefix("would remove"), "\(dry.output)\(dry.errors)")
            #expect(dry.output.contains("0 images"))
            #expect(
                try KilnProgram.run(["store", "gc", "--root", site.root, "--unused-for", "0s"]).status == 0)
            try StoreTests.expectClean(site.root)
            let list = try KilnProgram.run(["image", "list", "--root", site.root])
            #expect(list.output.contains(digest))
            #expect(try KilnProgram.run(["image", "tree", digest, "--root", site.root]).status == 0)
            #expect(
                try KilnProgram.run(["store", "gc", "--unused-for", "soon", "--root", site.root]).status == 2)
        }
    }
}
