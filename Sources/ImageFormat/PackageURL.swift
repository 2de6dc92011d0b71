package import Model

/// The name by which scanners and vulnerability lists know a package (package-url/purl-spec, type `deb`).
package enum PackageURL {
    /// `pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12&upstream=glibc`.
    package static func text(_ package: InstalledPackage, of distribution: ImageDistribution) -> String {
        var qualifiers = ["arch=\(encoded(package.architecture))"]
        let version = distribution.version.isEmpty ? "" : "-\(distribution.version)"
        qualifiers.append("distro=\(encoded(distribution.id + version))")
        if let source = package.source {
            let version = source.version == package.version ? "" : "@\(source.version)"
            qualifiers.append("upstream=\(encoded(source.name + version))")
        }
        return "pkg:deb/\(encoded(distribution.id))/\(encoded(package.name))@\(encoded(package.version))?"
            + qualifiers.joined(separator: "&")
    }

    /// `pkg:oci/debian@sha256:4f1c…?repository_url=registry.example/library/debian&tag=12`: an image (type `oci`).
    ///
    /// - Parameter repository: host and path; nil for an image that no registry has
    package static func text(
        image name: String, _ digest: Digest, repository: String? = nil, tag: String? = nil
    )
        -> String
    {
        let qualifiers =
            (repository.map {
                [
                    "repository_url="
                        + $0.split(separator: "/").map { encoded(String($0)) }.joined(separator: "/")
                ]
            } ?? []) + (tag.map { ["tag=\(encoded($0))"] } ?? [])
        return "pkg:oci/\(encoded(name.lowercased()))@\(digest)"
            + (qualifiers.isEmpty ? "" : "?" + qualifiers.joined(separator: "&"))
    }

    /// Everything but letters, digits and `-._~` as `%XX`; `:` stays, as the specification asks.
    private static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: ":"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
            }
        }
        return result
    }
}
