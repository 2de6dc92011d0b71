internal import Foundation
internal import Model
internal import SpecFile
internal import Trust
internal import WireAPI

/// Says where the spec in the present folder is not what runs: newer in Git, or other than it was released.
enum SpecNews {
    /// A line for each service of that name that is behind; none where the folder has no spec that can be read.
    static func look(_ services: [ServiceStatus], _ client: DaemonClient) async -> [String] {
        let file = FileManager.default.currentDirectoryPath + "/" + SpecFile.name
        guard FileManager.default.fileExists(atPath: file), let reading = try? SpecReading(file) else {
            return []
        }
        let spec = reading.spec
        var lines: [String] = []
        for service in services where service.key.service == spec.service {
            guard let release = service.current, let image = service.image else { continue }
            let name = "\(release) of \(service.key)"
            if let line = commits(reading, service.commit).map({ "\(SpecFile.name) here is \($0) of \(name)" }
            ) {
                lines.append(line)
            }
            let fields = await changes(spec, of: service.key, image, client)
            guard !fields.isEmpty else { continue }
            let list = fields.prefix(shown).joined(separator: ", ")
            let more = fields.count > shown ? " and \(fields.count - shown) more" : ""
            lines.append("\(SpecFile.name) here differs from \(name) in \(list)\(more): `kiln plan` shows it")
        }
        return lines
    }

    private static let shown = 5

    /// How the folder's commit lies to the one of a release; nil where it is the same, or nobody knows.
    private static func commits(_ reading: SpecReading, _ released: String?) -> String? {
        let git = GitSource(reading)
        guard let released, let source = try? git.source() else { return nil }
        let base = released.hasSuffix("-dirty") ? String(released.dropLast(6)) : released
        let dirty = source.isDirty ? "changed since the commit" : nil
        guard base != source.commit else { return released.hasSuffix("-dirty") ? nil : dirty }
        guard let count = git.commits(since: base) else { return "at another commit than that" }
        return count > 0 ? "\(counted(count, "commit")) ahead" : dirty
    }

    /// The fields of the spec that a deploy of the same image would change.
    private static func changes(
        _ spec: Spec, of key: ServiceKey, _ image: Digest, _ client: DaemonClient
    ) async -> [String] {
        guard let content = try? spec.release(of: image, in: FileManager.default.currentDirectoryPath),
            let plan: PlanAnswer = try? await client.post(
                WirePath.plan(key), DeployRequest(content: content, message: "", force: false))
        else { return [] }
        return plan.changes.map(\.field)
    }
}
