/// What happens with a package's maintainer scripts.
package enum ScriptMode: String, Hashable, Sendable, Codable, CaseIterable {
    /// They are read and never run: what they certainly do is made, and a step that is not understood is a warning.
    case effects
    /// They run once in a sandbox without network, and what they changed becomes a record.
    case traced
    /// They are read as with `effects`, and a step that is not understood stops the bake.
    case refused
}

/// How one package's scripts are treated.
package struct ScriptRule: Hashable, Sendable, Codable {
    package var mode: ScriptMode
    /// Absolute paths that a traced script may make although no image should hold them; each with all below it.
    package var allow: [String]
    /// Why, for whoever reads the file; it decides nothing.
    package var reason: String?

    package init(_ mode: ScriptMode, allow: [String] = [], reason: String? = nil) {
        self.mode = mode
        self.allow = allow
        self.reason = reason
    }
}

/// How the scripts of an image's packages are treated.
package struct ScriptRules: Hashable, Sendable, Codable {
    /// For packages that are not named: it decides what becomes of those with steps that are not understood.
    package var others: ScriptMode
    package var packages: [String: ScriptRule]

    package init(others: ScriptMode = .effects, packages: [String: ScriptRule] = [:]) {
        self.others = others
        self.packages = packages
    }

    /// Whether a package's scripts may be run.
    package func mayTrace(_ package: String) -> Bool { (packages[package]?.mode ?? others) == .traced }

    /// What decides about the image: without reasons, paths sorted, and without what holds anyway.
    package var decisive: ScriptRules {
        var rules = ScriptRules(others: others)
        for (name, rule) in packages where rule.mode != others || !rule.allow.isEmpty {
            rules.packages[name] = ScriptRule(rule.mode, allow: Set(rule.allow).sorted())
        }
        return rules
    }
}
