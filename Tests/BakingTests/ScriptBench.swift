import ImageFormat
import Model
import TestKit

@testable import Baking

/// An image of one package that a test describes, and what scripts make of it.
struct ScriptBench {
    var files: [String: String] = [:]
    var modes: [String: Int] = [:]
    var folders: [String] = ["etc", "srv", "tmp", "var/lib", "var/log", "usr/bin", "run"]

    struct Run {
        var effects: Effects
        var report: ScriptEvaluator.Report

        func text(_ path: String) -> String? { effects.tree.text(path) }
    }

    func effects() throws -> Effects {
        var package = PackageMaker("base")
        for folder in folders { package.folder(folder) }
        for (path, text) in files.sorted(by: { $0.key < $1.key }) {
            package.file(path, text, mode: modes[path] ?? (text.hasPrefix("#!") ? 0o755 : 0o644))
        }
        return try package.effects()
    }

    func run(_ script: String, answers: [String: String] = [:]) throws -> Run {
        var effects = try effects()
        let report = ScriptEvaluator.run(
            "#!/bin/sh\n" + script, arguments: ["configure", ""],
            environment: ["DPKG_ROOT": "", "DPKG_MAINTSCRIPT_ARCH": "amd64"], answers: answers, covered: [],
            effects: &effects)
        return Run(effects: effects, report: report)
    }
}

extension PackageMaker {
    /// An image of this package alone, before any script.
    func effects() throws -> Effects {
        let contents = Dictionary(
            entries.map { (MergedUsr.path($0.entry.path), $0.content) }, uniquingKeysWith: { $1 })
        let data = PackageMaker.tar(entries)
        let tar = try data.withUnsafeBytes {
            try Decompressor.decompress($0, limit: data.count, spoolFolder: "/nonexistent")
        }
        let content = try PackageContent(tar, place: "base").items.map(\.entry)
        let fragment = PackageFragment(
            name: "base", version: "1", modifiedAt: 9,
            layer: ImageLayer(digest: .sha256([]), size: 0, diffID: .sha256([])),
            files: LayerSection(offset: 0, members: [], digest: .sha256([])), entries: content,
            control: ControlParagraph(fields: []))
        let tree = try ImageTree([fragment]) { _, _ in [] }
        return Effects(
            tree: EffectTree(base: tree, modifiedAt: 9, packages: ["base"]) { contents[$0] },
            accounts: AccountRequests(knownUsers: ["root", "www-data"], knownGroups: ["root", "adm"]))
    }
}
