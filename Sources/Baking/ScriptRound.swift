import ImageFormat
import Model

/// Goes through the scripts of all packages in dpkg's order, each in the way that its rule says.
struct ScriptRound {
    /// Gives what the scripts of a package did when they were run; the last argument is what they run in.
    typealias Tracing = (PackageFragment, ScriptRule, () throws -> PackageTracer.World) throws -> TraceRecord

    /// For callers without a sandbox.
    static func noTracing(
        _ package: PackageFragment, _ rule: ScriptRule, _ world: () throws -> PackageTracer.World
    ) throws -> TraceRecord {
        throw Failure(.internalError, "there is no sandbox for the scripts of \(package.name)")
    }

    let packages: [PackageFragment]
    let architecture: Architecture
    let rules: ScriptRules
    /// Those that every image of the distribution has.
    let accounts: Accounts
    /// Numbers that the lock keeps.
    let ids: [String: Int]
    let below: BelowPackages?
    let trace: Tracing

    struct Report {
        var warnings: [String] = []
        var notes: [String] = []
        var traced: [String] = []

        mutating func add(_ result: ScriptEvaluator.Report?, of package: PackageFragment) {
            for refusal in result?.refused ?? [] {
                let note = "\(package.name): \(refusal.rule.note)"
                if !notes.contains(note) { notes.append(note) }
            }
        }
    }

    /// All `preinst` first, then all `postinst`. The two scripts of a traced package run one after the other where
    /// its `postinst` stands. Throws every refused step at once.
    func run(_ effects: inout Effects) throws -> Report {
        var report = Report()
        var refused: [String: [String]] = [:]
        let packages = Effects.ordered(packages)
        var traced = Set(
            packages.filter { rules.packages[$0.name]?.mode == .traced && ScriptRound.hasScripts($0) }.map(
                \.name))
        for name in ["preinst", "postinst"] {
            for package in packages {
                if !traced.contains(package.name), let script = package.scripts[name] {
                    let mode = rules.packages[package.name]?.mode ?? rules.others
                    // What a script did that is then run instead must not count.
                    let before = mode == .traced ? effects : nil
                    effects.tree.maker = "\(package.name) \(name)"
                    let result = follow(script, name, of: package, &effects)
                    effects.tree.maker = nil
                    let missed = result?.unhandled.map { "line \($0.line): \($0.text)" } ?? []
                    if let before, !missed.isEmpty {
                        effects = before
                        traced.insert(package.name)
                    } else if mode == .refused {
                        if !missed.isEmpty {
                            refused[package.name, default: []] += missed.map { "\(name) \($0)" }
                        }
                    } else {
                        report.warnings += missed.map {
                            "\(package.name): a step of its \(name) script was not made: \($0)"
                        }
                    }
                    if !traced.contains(package.name) { report.add(result, of: package) }
                }
                if name == "postinst", traced.contains(package.name) {
                    try run(package, &effects, &report)
                }
            }
        }
        report.notes += SharedCache.notes(packages, traced: traced)
        report.notes.sort(by: TarEntry.precedes)
        if !refused.isEmpty { throw Failures(refused.sorted { $0.key < $1.key }.map(ScriptRound.refuse)) }
        return report
    }

    private static func hasScripts(_ package: PackageFragment) -> Bool {
        package.scripts["preinst"] != nil || package.scripts["postinst"] != nil
    }

    private static func refuse(_ name: String, _ steps: [String]) -> Failure {
        Failure(
            .notPermitted,
            "\(name): steps of its scripts are not understood: " + steps.joined(separator: "; "),
            at: "image.scripts",
            suggestion: "write under `image:` `scripts: {\(name): traced}` to run them once in a sandbox, or "
                + "`scripts: {\(name): effects}` to do without these steps")
    }

    /// nil for a script that is taken care of elsewhere.
    private func follow(
        _ script: String, _ name: String, of package: PackageFragment, _ effects: inout Effects
    ) -> ScriptEvaluator.Report? {
        let coverage = ScriptCoverage.of(package.name)
        if coverage.isWhole(script) { return nil }
        return ScriptEvaluator.run(
            script, arguments: name == "preinst" ? ["install"] : ["configure", ""],
            environment: [
                "DEBIAN_FRONTEND": "noninteractive", "DPKG_ROOT": "",
                "DPKG_MAINTSCRIPT_PACKAGE": package.name, "DPKG_MAINTSCRIPT_NAME": name,
                "DPKG_MAINTSCRIPT_ARCH": architecture.rawValue,
            ], answers: Debconf.defaults(package.scripts["templates"] ?? "").merging(coverage.answers) { $1 },
            covered: coverage.commands, effects: &effects)
    }

    private func run(_ package: PackageFragment, _ effects: inout Effects, _ report: inout Report) throws {
        let now = effects
        let rule = rules.packages[package.name] ?? ScriptRule(.traced)
        let record = try trace(package, rule) {
            var (world, accounts) = (now, self.accounts)
            _ = try world.conclude(
                packages, architecture: architecture, ids: ids, below: below, [], &accounts)
            return PackageTracer.World(tree: world.tree, accounts: accounts)
        }
        effects.tree.maker = "\(package.name) traced"
        effects.take(record)
        effects.tree.maker = nil
        report.traced.append(package.name)
        for note in record.notes where !report.notes.contains(note) { report.notes.append(note) }
    }
}

extension ScriptRules {
    /// Puts down what decides, for keys of caches.
    func write(to writer: inout ByteWriter) {
        let rules = decisive
        writer.put(rules.others.rawValue)
        writer.put(list: rules.packages.sorted { TarEntry.precedes($0.key, $1.key) }) {
            $0.put($1.key)
            $0.put($1.value.mode.rawValue)
            $0.put(list: $1.value.allow) { $0.put($1) }
        }
    }
}
