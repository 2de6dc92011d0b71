import Glibc
import Model

/// Makes many fragments at the same time: as many as there are processors, the largest packages first, so that none
/// is left to run alone at the end.
struct FragmentRun: Sendable {
    let builder: FragmentBuilder
    let packages: [Lock.Package]
    let progress: @Sendable (BakeProgress) -> Void

    private enum Limit {
        /// Each keeps one unpacked package in memory or in a spool file.
        static let parallel = 16
    }

    func run() async throws -> [PackageFragment] {
        let width = min(max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))), Limit.parallel)
        var done = 0
        return try await inParallel(
            packages.sorted { ($0.size, $1.name) > ($1.size, $0.name) }, width: width,
            ended: { _, _ in
                done += 1
                progress(
                    BakeProgress(
                        .unpacking, done: done, total: packages.count, packagesDone: done,
                        packages: packages.count))
            }
        ) { try builder.fragment(of: $0) }
    }
}
