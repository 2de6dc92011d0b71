/// One difference between two releases, as `plan` and `deploy` show it.
package struct ReleaseChange: Hashable, Sendable, Codable {
    /// The name that the field has in kiln.yaml.
    package var field: String
    package var old: String?
    package var new: String?

    package init(field: String, old: String?, new: String?) {
        self.field = field
        self.old = old
        self.new = new
    }
}
