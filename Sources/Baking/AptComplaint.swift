import Model

/// What apt says when it cannot do something, read as failures of ours.
struct AptComplaint: Hashable {
    var name: String
    /// The package exists, and this version of it does not.
    var version: String?
    /// The package is mentioned by others, but no archive has it.
    var isVirtual = false

    var isVersion: Bool { version != nil }

    func message(in distribution: String) -> String {
        if let version { return "the archives of \(distribution) have no \(name) of version \(version)" }
        return isVirtual
            ? "\(name) is only a name that other packages provide in \(distribution)"
            : "there is no package \(name) in \(distribution)"
    }

    /// The packages that `apt-get install` did not know.
    static func unknownPackages(_ text: String) -> [AptComplaint] {
        var found: [AptComplaint] = []
        for line in text.split(separator: "\n") where line.hasPrefix("E: ") {
            let quoted = line.split(separator: "'", omittingEmptySubsequences: false).map(String.init)
            var complaint: AptComplaint?
            if line.hasPrefix("E: Unable to locate package "), let name = line.split(separator: " ").last {
                complaint = AptComplaint(name: String(name))
            } else if line.hasPrefix("E: Version "), line.hasSuffix("was not found"), quoted.count >= 5 {
                complaint = AptComplaint(name: quoted[3], version: quoted[1])
            } else if line.contains("has no installation candidate"), quoted.count >= 3 {
                complaint = AptComplaint(name: quoted[1], isVirtual: true)
            }
            if let complaint, !found.contains(complaint) { found.append(complaint) }
        }
        return found
    }

    /// A failed `apt-get update`, in the mirror's own words.
    static func ofUpdate(_ text: String) -> Failure {
        let lines = text.split(separator: "\n").map { String($0.drop { $0 == " " }) }
        let complaints = lines.filter { line in ["E: ", "W: "].contains { line.hasPrefix($0) } }
        let signature = complaints.first { line in
            [
                "GPG error", "NO_PUBKEY", "is not signed", "invalid signature", "couldn't be verified",
                "EXPKEYSIG",
                "BADSIG", "Clearsigned file isn't valid", "signatures were invalid",
            ].contains { line.contains($0) }
        }
        if let signature {
            return Failure(
                .badSignature, "an archive's signature is not good: \(signature.dropFirst(3))",
                at: "image.sources",
                suggestion: "use the archive's own mirror, or name its keyring in `signed-by`")
        }
        if text.contains("No space left on device") {
            return Failure(
                .diskFull, "there is no room for the package lists",
                suggestion: "free some space on this disk")
        }
        let words = complaints.first.map { String($0.dropFirst(3)) } ?? lines.last ?? "apt-get update failed"
        let isStale = text.contains("is expired") || text.contains("not valid yet")
        return Failure(
            .archiveUnreachable, "an archive cannot be read: \(words)", at: "image.sources",
            suggestion: isStale
                ? "use a current mirror, or set Acquire::Check-Valid-Until \"false\" in the host's apt.conf"
                : "see that the mirror answers (`apt-get update`), or name another in `image.sources`")
    }

    /// A failed `apt-get install` that is no unknown name: packages that do not go together.
    static func ofInstall(_ text: String, _ recipe: Recipe) -> Failure {
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("E: ") }.map { String($0.dropFirst(3)) }
        let words = lines.isEmpty ? "apt could not pick the packages" : lines.joined(separator: "; ")
        return Failure(
            .conflict, "the packages do not go together: \(words)", at: "image.packages",
            suggestion: "take out a package or a fixed version and lock again")
    }
}
