import CDeflate

/// The capabilities that a program gets when it is executed (capabilities(7)), as the kernel keeps them with its file.
package enum FileCapability {
    package static let name = "security.capability"

    /// Revision 2 of `vfs_cap_data`, and revision 3, which a user namespace writes and which ends with its root.
    private static let size = 20
    private static let sizeInNamespace = 24

    /// That of an open file, in the form that holds on every host; nil where it has none.
    package static func of(_ descriptor: Int32) -> [UInt8]? {
        var value = [UInt8](repeating: 0, count: sizeInNamespace)
        let count = kiln_get_attribute(descriptor, name, &value, value.count)
        guard count == size || count == sizeInNamespace else { return nil }
        // The highest byte of the first number, which is little-endian.
        value[3] = 2
        return Array(value.prefix(size))
    }
}
