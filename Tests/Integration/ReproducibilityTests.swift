import Foundation
import Testing
import TestKit

/// What must not change the bytes of an image.
extension OnThisHost {
    @Suite struct ReproducibilityTests {
        /// Circumstances of one bake.
        private struct Bake {
            var folder = "plain"
            /// Words before the command: another user, fewer processors, variables.
            var prefix = "env TZ=UTC LC_ALL=C"
            var umask = "022"
            /// Keeps everything in memory, where folders list their files in another order than on a disk.
            var isInMemory = false
            var owner = 0
            /// The same files, made in another order and at another time.
            var areFilesShuffled = false
            /// Takes a store in which it was baked before, all of it or its parts only.
            var keeps: [String] = []
        }

        private static let bakes = [
            Bake(),
            Bake(
                folder: "deeper/than/that", prefix: "env TZ=Asia/Kolkata LC_ALL=de_DE.UTF-8 LANG=tr_TR.UTF-8",
                umask: "077"),
            Bake(
                folder: "c", prefix: "env TZ=America/St_Johns HOME=/nowhere SOURCE_DATE_EPOCH=1",
                umask: "000"),
            Bake(folder: "one-processor", prefix: "taskset -c 0"),
            // Hashes begin elsewhere in each process, unless tests ask for one beginning.
            Bake(folder: "seeded", prefix: "env -u SWIFT_DETERMINISTIC_HASHING"),
            Bake(folder: "in-memory", isInMemory: true),
            Bake(
                folder: "nobody", prefix: "setpriv --reuid 65534 --regid 65534 --clear-groups", owner: 65534),
            Bake(folder: "shuffled", areFilesShuffled: true),
            Bake(folder: "fragments", keeps: ["cache/fragment"]),
            Bake(folder: "warm", keeps: ["cache", "images"]),
        ]

        @Test func `neither folder, user, mask, locale, zone, processors, disk nor what was baked before`()
            throws
        {
            let site = try Site()
            let lock = "\(site.folder)/v1/kiln.lock"
            try #require(
                try KilnProgram.run(["lock", "--root", site.root, "--file", "\(site.folder)/v1/kiln.yaml"])
                    .status == 0)
            try #require(FileManager.default.fileExists(atPath: lock))
            let memory = "/dev/shm/kiln-it-\(UInt32.random(in: 0 ... .max))"
            defer { shell("rm -rf '\(memory)'") }
            var digests: [String: [String]] = [:]
            for bake in Self.bakes {
                let home = (bake.isInMemory ? memory : site.folder) + "/bakes/" + bake.folder
                prepare(home, bake, site)
                let result = shell(
                    "cd '\(home)/spec' && umask \(bake.umask) && \(bake.prefix) '\(KilnProgram.path)' "
                        + "bake --root '\(home)/root' 2>&1 | tail -1")
                #expect(result.output.hasPrefix("sha256:"), "\(bake.folder): \(result.output)")
                digests[String(result.output.prefix { $0 != " " }), default: []].append(bake.folder)
                // What later bakes are given.
                if bake.folder == "plain" { shell("cp -a '\(home)/root/store' '\(site.folder)/baked'") }
            }
            print("reproducibility: \(Self.bakes.count) bakes, distinct digests = \(digests.count)")
            #expect(digests.count == 1, "\(digests)")
        }

        private func prepare(_ home: String, _ bake: Bake, _ site: Site) {
            let store = bake.keeps.isEmpty ? "\(site.root)/store" : "\(site.folder)/baked"
            shell("mkdir -p '\(home)/root' && cp -a '\(store)' '\(home)/root/store'")
            let forgotten = ["cache/fragment", "cache/base", "cache/bake", "cache/files", "images"]
                .filter { name in !bake.keeps.contains { name.hasPrefix($0) } }
            for name in forgotten { shell("rm -rf '\(home)/root/store/\(name)'") }
            shell("mkdir -p '\(home)/root/store/images'")
            if bake.areFilesShuffled {
                shell(
                    "cd '\(site.folder)/v1' && find . -type f | sort -r | while read -r f; do "
                        + "mkdir -p \"\(home)/spec/$(dirname \"$f\")\" && cat \"$f\" > \"\(home)/spec/$f\"; done; "
                        + "find '\(home)/spec' -exec touch -d 2001-02-03 {} +")
            } else {
                shell("cp -r '\(site.folder)/v1' '\(home)/spec'")
            }
            if bake.owner != 0 {
                shell("chown -R \(bake.owner) '\(home)' && chmod a+x '\(site.folder)' '\(site.folder)/bakes'")
            }
        }
    }
}
