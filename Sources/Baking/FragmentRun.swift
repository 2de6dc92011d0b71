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
        var rest = packages.sorted { ($0.size, $1.name) > ($1.size, $0.name) }[...]
        let width = min(max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))), Limit.parallel)
        return try await withThrowingTaskGroup(of: PackageFragment.self) { group in
            func start() {
                guard let package = rest.popFirst() else { return }
                group.addTask {
                    try Task.checkCancellation()
                    return try builder.fragment(of: package)
                }
            }
            for _ in 0..<width { start() }
            var made: [PackageFragment] = []
            while let fragment = try await group.next() {
                made.append(fragment)
                progress(
                    BakeProgress(
                        .unpacking, done: made.count, total: packages.count, packagesDone: made.count,
                        packages: packages.count))
                start()
            }
            return made
        }
    }
}
