package import Model

/// What a rule about known faults makes of an image.
package struct FaultVerdict: Hashable, Sendable {
    /// A fault that may pass for a time.
    package struct Excepted: Hashable, Sendable, Codable {
        package var fault: PackageFault
        package var until: Instant
        package var reason: String

        package init(fault: PackageFault, until: Instant, reason: String) {
            self.fault = fault
            self.until = until
            self.reason = reason
        }
    }

    package var refused: [PackageFault] = []
    package var excepted: [Excepted] = []
    /// Not as bad as what is refused.
    package var tolerated: [PackageFault] = []

    package init() {}
}

extension VulnerabilityRule {
    /// Every fault that the packages have, by whether it keeps the image from starting now.
    package func verdict(on packages: [InstalledPackage], faults: [KnownFault], now: Instant) -> FaultVerdict
    {
        let byPackage = Dictionary(grouping: faults, by: \.package)
        let running = exceptions.filter { now < $0.until }
        var verdict = FaultVerdict()
        for package in Set(packages).sorted() {
            let source = package.sourcePackage
            for known in byPackage[source.name] ?? [] where known.affected.contains(source.version) {
                let fault = PackageFault(
                    package: package.name, version: package.version, source: source.name, id: known.id,
                    severity: known.severity, fixedIn: known.affected.fix(after: source.version))
                if !refuses(fault) {
                    verdict.tolerated.append(fault)
                } else if let exception = VulnerabilityRule.exception(for: known, package, among: running) {
                    verdict.excepted.append(
                        FaultVerdict.Excepted(
                            fault: fault, until: exception.until, reason: exception.reason))
                } else {
                    verdict.refused.append(fault)
                }
            }
        }
        // Two records may say the same.
        verdict.refused = Set(verdict.refused).sorted()
        verdict.tolerated = Set(verdict.tolerated).sorted()
        verdict.excepted = Set(verdict.excepted).sorted { $0.fault < $1.fault }
        return verdict
    }

    private func refuses(_ fault: PackageFault) -> Bool {
        guard fault.severity == .unknown else { return fault.severity >= atLeast }
        switch unrated {
        case .refuse: return true
        case .refuseFixed: return fault.fixedIn != nil
        case .pass: return false
        }
    }

    /// The exception that lets it pass longest. A record that stands for several faults passes only where each of
    /// them does.
    private static func exception(
        for fault: KnownFault, _ package: InstalledPackage, among exceptions: [Exception]
    ) -> Exception? {
        let mine = exceptions.filter {
            $0.package == nil || $0.package == package.name || $0.package == package.sourcePackage.name
        }
        func longest(_ names: [String]) -> Exception? {
            mine.filter { names.contains($0.id) }.max { $0.until < $1.until }
        }
        if let own = longest([fault.id]) { return own }
        let several = fault.aliases.filter { $0.hasPrefix("CVE-") }
        guard several.count > 1 else { return longest(fault.aliases) }
        let each = several.map { longest([$0]) }
        return each.contains { $0 == nil } ? nil : each.compactMap { $0 }.min { $0.until < $1.until }
    }
}

extension InstalledPackage {
    /// What feeds speak of: the source package and its version.
    package var sourcePackage: Source { source ?? Source(name: name, version: version) }
}
