/// Who may go into instances of a host: the key `break-glass` of its policy.
package struct BreakGlassRule: Hashable, Sendable, Codable {
    /// User ids, as the kernel tells them of whoever connects. nil: root and the user of the daemon.
    package var allow: [UInt32]?

    package init(allow: [UInt32]? = nil) { self.allow = allow }

    package func allows(_ user: UInt32, daemonUser: UInt32) -> Bool {
        allow?.contains(user) ?? (user == 0 || user == daemonUser)
    }

    /// Whether anybody is named who may not use the daemon otherwise.
    package func namesOthers(than daemonUser: UInt32) -> Bool {
        allow?.contains { $0 != 0 && $0 != daemonUser } ?? false
    }
}
