package import Model

/// What an image is made of, for scanners. The same image gives the same bytes: no clock and no chance is in them.
package struct BillOfMaterials: Sendable {
    package enum Format: String, CaseIterable, Sendable {
        /// SPDX 2.3, as JSON.
        case spdx
        /// CycloneDX 1.6, as JSON.
        case cyclonedx

        package var mediaType: String {
            switch self {
            case .spdx: "application/spdx+json"
            case .cyclonedx: "application/vnd.cyclonedx+json"
            }
        }

        /// What tools call files of this kind.
        package var fileName: String {
            switch self {
            case .spdx: "sbom.spdx.json"
            case .cyclonedx: "sbom.cdx.json"
            }
        }
    }

    private let image: Digest
    private let packages: [InstalledPackage]
    private let distribution: ImageDistribution

    package init(image: Digest, packages: [InstalledPackage], distribution: ImageDistribution) {
        self.image = image
        self.packages = packages.sorted()
        self.distribution = distribution
    }

    package func bytes(_ format: Format) -> [UInt8] {
        switch format {
        case .spdx: spdx.bytes
        case .cyclonedx: cycloneDX.bytes
        }
    }

    /// Images are dated so; a bill of the same image must not have another date.
    private static let created = "1970-01-01T00:00:00Z"
    private static let tool = "kiln"

    /// `12` for Debian's releases; scanners look vulnerabilities up by it.
    private var distributionVersion: JSONValue { .string(distribution.version) }

    // MARK: SPDX

    private var spdx: JSONValue {
        let image = JSONValue.object([
            "SPDXID": .string("SPDXRef-Image"), "name": .string("\(image)"),
            "versionInfo": .string("\(image)"),
            "downloadLocation": .string("NOASSERTION"), "filesAnalyzed": .bool(false),
            "primaryPackagePurpose": .string("CONTAINER"),
            "checksums": .array([
                .object(["algorithm": .string("SHA256"), "checksumValue": .string(image.hex)])
            ]),
        ])
        // Without it scanners drop the other packages.
        let system = JSONValue.object([
            "SPDXID": .string("SPDXRef-OperatingSystem"), "name": .string(distribution.id),
            "versionInfo": distributionVersion, "downloadLocation": .string("NOASSERTION"),
            "filesAnalyzed": .bool(false), "primaryPackagePurpose": .string("OPERATING-SYSTEM"),
        ])
        let ids = packages.enumerated().map { place, package in spdxID(package, place) }
        var relations = [
            relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"),
            relation("SPDXRef-Image", "CONTAINS", "SPDXRef-OperatingSystem"),
        ]
        relations += ids.map { relation("SPDXRef-Image", "CONTAINS", $0) }
        return .object([
            "spdxVersion": .string("SPDX-2.3"), "dataLicense": .string("CC0-1.0"),
            "SPDXID": .string("SPDXRef-DOCUMENT"), "name": .string("\(self.image)"),
            "documentNamespace": .string("https://kiln.invalid/spdx/\(self.image.hex)"),
            "creationInfo": .object([
                "created": .string(BillOfMaterials.created),
                "creators": .array([.string("Tool: \(BillOfMaterials.tool)")]),
            ]),
            "packages": .array([image, system] + zip(packages, ids).map(spdxPackage)),
            "relationships": .array(relations),
        ])
    }

    /// Letters, digits, `.` and `-` are allowed in there; the place keeps it apart from the others.
    private func spdxID(_ package: InstalledPackage, _ place: Int) -> String {
        let name = package.name.map {
            $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "." || $0 == "-") ? $0 : "-"
        }
        return "SPDXRef-Package-\(place + 1)-\(String(name))"
    }

    private func spdxPackage(_ package: InstalledPackage, _ id: String) -> JSONValue {
        var members: [String: JSONValue] = [
            "SPDXID": .string(id), "name": .string(package.name), "versionInfo": .string(package.version),
            "downloadLocation": .string("NOASSERTION"), "filesAnalyzed": .bool(false),
            "externalRefs": .array([
                .object([
                    "referenceCategory": .string("PACKAGE-MANAGER"), "referenceType": .string("purl"),
                    "referenceLocator": .string(PackageURL.text(package, of: distribution)),
                ])
            ]),
        ]
        if let source = package.source {
            members["sourceInfo"] = .string("built from \(source.name) \(source.version)")
        }
        return .object(members)
    }

    private func relation(_ one: String, _ type: String, _ other: String) -> JSONValue {
        .object([
            "spdxElementId": .string(one), "relationshipType": .string(type),
            "relatedSpdxElement": .string(other),
        ])
    }

    // MARK: CycloneDX

    private var cycloneDX: JSONValue {
        let system = JSONValue.object([
            "type": .string("operating-system"), "bom-ref": .string("os"), "name": .string(distribution.id),
            "version": distributionVersion,
        ])
        return .object([
            "bomFormat": .string("CycloneDX"), "specVersion": .string("1.6"), "version": .number(1),
            "serialNumber": .string(serialNumber),
            "metadata": .object([
                "timestamp": .string(BillOfMaterials.created),
                "component": .object([
                    "type": .string("container"), "bom-ref": .string("image"), "name": .string("\(image)"),
                    "hashes": .array([
                        .object(["alg": .string("SHA-256"), "content": .string(image.hex)])
                    ]),
                ]),
            ]),
            "components": .array([system] + packages.map(component)),
        ])
    }

    /// A UUID made from the image's digest (RFC 9562, version 8).
    private var serialNumber: String {
        var digits = Array(image.hex.prefix(32))
        digits[12] = "8"
        digits[16] = "8"
        let text = String(digits)
        var parts: [Substring] = []
        var rest = text[...]
        for length in [8, 4, 4, 4, 12] {
            parts.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return "urn:uuid:" + parts.joined(separator: "-")
    }

    private func component(_ package: InstalledPackage) -> JSONValue {
        let name = PackageURL.text(package, of: distribution)
        return .object([
            "type": .string("library"), "bom-ref": .string(name), "name": .string(package.name),
            "version": .string(package.version), "purl": .string(name),
        ])
    }
}
