import Model
import Testing

@testable import ImageFormat

@Suite struct BillOfMaterialsTests {
    private static let debian = ImageDistribution(id: "debian", version: "12")

    @Test(arguments: [
        (
            InstalledPackage(
                name: "libc6", version: "2.36-9+deb12u9", architecture: "amd64",
                source: .init(name: "glibc", version: "2.36-9+deb12u9")),
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12&upstream=glibc"
        ),
        (
            InstalledPackage(name: "zlib1g", version: "1:1.2~x-1", architecture: "all"),
            "pkg:deb/debian/zlib1g@1:1.2~x-1?arch=all&distro=debian-12"
        ),
        (
            InstalledPackage(
                name: "libstdc++6", version: "12", architecture: "amd64",
                source: .init(name: "gcc-12", version: "12.2")),
            "pkg:deb/debian/libstdc%2B%2B6@12?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2"
        ),
    ])
    func `packages are named as scanners name them`(package: InstalledPackage, name: String) {
        #expect(PackageURL.text(package, of: Self.debian) == name)
    }

    @Test(arguments: BillOfMaterials.Format.allCases)
    func `every package is in it once, and the order that they came in does not show`(
        format: BillOfMaterials.Format
    ) throws {
        let packages = (0..<40).map {
            InstalledPackage(name: "p\($0)+\"x", version: "\($0)", architecture: "amd64")
        }
        func bytes(_ packages: [InstalledPackage]) -> [UInt8] {
            BillOfMaterials(
                image: .sha256([1]), packages: packages, distribution: Self.debian
            ).bytes(format)
        }
        #expect(bytes(packages) == bytes(packages.reversed()))
        let document = try JSONValue(parsing: bytes(packages))
        let rows = document[format == .spdx ? "packages" : "components"]?.elements ?? []
        let ids = rows.compactMap { $0[format == .spdx ? "SPDXID" : "bom-ref"]?.text }
        #expect(Set(ids).count == rows.count)
        #expect(rows.count == (format == .spdx ? 42 : 41))
    }
}
