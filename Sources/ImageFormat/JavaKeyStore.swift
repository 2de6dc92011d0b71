import enum Crypto.Insecure

/// A Java key store of trusted certificates in the form JKS, version 2, which every Java reads
/// (sun.security.provider.JavaKeyStore): the same certificates and date give the same bytes.
package enum JavaKeyStore {
    private static let magic: UInt32 = 0xfeed_feed
    private static let trustedCertificate: UInt32 = 2
    /// What the sum at the end begins with, after the password.
    private static let salt = "Mighty Aphrodite"
    /// The password that every Java takes for its store of public certificates; it protects nothing.
    package static let password = "changeit"

    /// A store of certificates in DER by their aliases, which are at most 65535 bytes long. `madeAt`: seconds since
    /// 1970, which becomes the date of every entry.
    package static func trusting(_ certificates: [(alias: String, der: [UInt8])], madeAt: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        func put<Number: FixedWidthInteger>(_ number: Number) {
            withUnsafeBytes(of: number.bigEndian) { bytes += Array($0) }
        }
        func put(text: String) {
            let text = Array(text.utf8.prefix(Int(UInt16.max)))
            put(UInt16(text.count))
            bytes += text
        }
        put(magic)
        put(UInt32(2))
        put(UInt32(certificates.count))
        for certificate in certificates {
            put(trustedCertificate)
            put(text: certificate.alias)
            put(Int64(madeAt) * 1000)
            put(text: "X.509")
            put(UInt32(certificate.der.count))
            bytes += certificate.der
        }
        var sum = Insecure.SHA1()
        sum.update(data: password.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] })
        sum.update(data: Array(salt.utf8))
        sum.update(data: bytes)
        return bytes + Array(sum.finalize())
    }
}
