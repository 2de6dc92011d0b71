import Glibc
import ImageFormat
import Model

/// One run of a package's scripts, and what is made of it.
struct Trace {
    let package: PackageFragment
    let rule: ScriptRule
    let limits: Sandbox.Limits

    private enum Limit {
        /// Lines of a script's output that a failure shows.
        static let shownLines = 5
        static let recordBytes = 16 << 20
        /// Memory of each folder that is emptied at every start.
        static let temporaryBytes = 64 << 20
    }

    private var place: String { "image.scripts.\(package.name)" }

    /// A failure as a user has to see it.
    func blame(_ failure: Failure) -> Failure {
        if failure.code == .cancelled || failure.code == .toolMissing { return failure }
        var failure = failure
        let about = failure.place.map { "\($0): " } ?? ""
        failure.message = "\(package.name): \(about)\(failure.message)"
        failure.place = place
        failure.suggestion =
            failure.suggestion
            ?? "do without running them: under `image:` write `scripts: {\(package.name): effects}`"
        return failure
    }

    var needsEssential: Failure {
        Failure(
            .invalidSpec, "its scripts count on Debian's Essential packages, which this image lacks",
            suggestion: "write `base: essential` under `image:`, or `scripts: {\(package.name): effects}`")
    }

    var needsOwnBase: Failure {
        Failure(
            .invalidSpec, "its scripts are not run over an image that `from` names",
            suggestion: "write `scripts: {\(package.name): effects}`, or bake without `from`")
    }

    func needsMachine(_ architecture: Architecture) -> Failure {
        Failure(
            .notPermitted,
            "its scripts run on \(architecture.rawValue) only, and this host is another machine",
            suggestion: "bake on such a machine, or write `scripts: {\(package.name): effects}`")
    }

    /// Writes the tree below `folder`, runs the scripts in it, and looks what they changed.
    func run(_ root: TracedRoot, _ world: PackageTracer.World, in folder: String) throws -> TraceRecord {
        let owners = Sandbox.Owners.ofThisProcess
        let rootFolder = folder + "/root"
        let toolFolder = folder + "/tools"
        let recordFolder = folder + "/record"
        for path in [rootFolder, toolFolder, recordFolder] { try HostFiles.makeFolder(path) }
        try root.made(spool: "\(folder)/effects.tar").unpack(into: rootFolder, ownersFrom: owners.first)
        let owner = uid_t(owners.first)
        guard chown(recordFolder, owner, owner) == 0 else {
            throw HostFiles.failure(errno, "the folder cannot be given away", at: recordFolder)
        }
        let wrappers = TraceTools.wrappers(keepsState: !rule.allow.isEmpty).filter { name, _ in
            TraceTools.always.contains(name)
                || ["/usr/sbin/", "/usr/bin/"].contains { world.tree.find($0 + name) != nil }
        }
        let runner = TraceTools.runner(package.name, scripts: Array(root.controlFiles.keys))
        for (name, text) in wrappers.merging([Trace.runnerName: runner], uniquingKeysWith: { $1 }) {
            try HostFiles.put("\(toolFolder)/\(name)", text.utf8)
            chmod("\(toolFolder)/\(name)", 0o755)
        }
        var sandbox = Sandbox(
            root: rootFolder, command: ["/bin/sh", "\(TraceTools.folder)/\(Trace.runnerName)"],
            environment: environment, owners: owners, limits: limits)
        sandbox.mounts = ["/run", "/tmp", "/var/tmp"].map {
            .memory(at: $0, bytes: Limit.temporaryBytes, mode: $0 == "/run" ? 0o755 : 0o1777)
        }
        sandbox.mounts += [
            .readOnly(toolFolder, at: TraceTools.folder),
            .writable(recordFolder, at: TraceTools.recordFolder),
        ]
        // Scripts also call these by their whole path.
        for name in wrappers.keys.sorted() where !TraceTools.real.contains(name) {
            for place in ["usr/bin/\(name)", "usr/sbin/\(name)"] where world.tree.entry(place)?.kind == .file
            {
                sandbox.mounts.append(.readOnly("\(toolFolder)/\(name)", at: "/" + place))
            }
        }
        let before = try TreeScan(rootFolder, firstOwner: owners.first)
        let outcome: SandboxRun.Outcome
        do {
            outcome = try SandboxRun(folder: folder).run(sandbox)
        } catch let failure as Failure where [.commandFailed, .timedOut].contains(failure.code) {
            let script = lastScript(recordFolder) ?? "first"
            throw Failure(failure.code, "its \(script) script was stopped: \(failure.message)")
        }
        guard outcome.status == 0 else {
            let lines = outcome.output.split(separator: "\n").suffix(Limit.shownLines).joined(
                separator: " | ")
            guard let script = lastScript(recordFolder) else {
                throw Failure(
                    .launchFailed, "there is no sandbox for its scripts: \(lines)",
                    suggestion: "kiln doctor says what this host lacks")
            }
            throw Failure(.commandFailed, "its \(script) script ended with \(outcome.status): \(lines)")
        }
        let calls = try self.calls(recordFolder)
        let after = try TreeScan(rootFolder, firstOwner: owners.first)
        return try record(before, after, calls, world)
    }

    private static let runnerName = "kiln-run"

    /// What dpkg gives to scripts, and what keeps results the same everywhere.
    private var environment: [String: String] {
        [
            "PATH": TraceTools.environmentPath, "HOME": "/root", "USER": "root", "LOGNAME": "root",
            "SHELL": "/bin/sh", "TZ": "UTC", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
            "DEBCONF_NONINTERACTIVE_SEEN": "true", "DEBCONF_NOWARNINGS": "yes", "DPKG_ROOT": "",
            "DPKG_ADMINDIR": "/var/lib/dpkg", "DPKG_MAINTSCRIPT_PACKAGE": package.name,
            "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": "1",
            "DPKG_MAINTSCRIPT_ARCH": package.control["Architecture"] ?? "all",
            "DPKG_RUNNING_VERSION": "1.21.22", "UCF_FORCE_CONFFNEW": "1", "SYSTEMD_OFFLINE": "1",
            "SOURCE_DATE_EPOCH": "\(package.modifiedAt)", "PERL_HASH_SEED": "0", "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        ]
    }

    private func calls(_ folder: String) throws -> [TraceRecord.Call] {
        let path = "\(folder)/\(TraceTools.recordName)"
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT { return [] }
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "its calls cannot be read", at: path) }
        defer { close(descriptor) }
        return TraceRecord.Call.parse(
            try HostFiles.read(descriptor, limit: Limit.recordBytes, at: "the record of its calls"))
    }

    /// The script that began last; nil where none did.
    private func lastScript(_ folder: String) -> String? {
        (try? calls(folder))?.last { $0.program.hasPrefix("@") }.map { String($0.program.dropFirst()) }
    }

    // MARK: The record

    private func record(
        _ before: TreeScan, _ after: TreeScan, _ calls: [TraceRecord.Call], _ world: PackageTracer.World
    ) throws -> TraceRecord {
        var record = TraceRecord()
        let accounts = try self.accounts(after, calls, world, &record)
        record.calls = calls.filter(TraceTools.matters)
        for call in calls {
            guard let rule = StateRule.of(call.program, call.arguments), self.rule.allow.isEmpty else {
                continue
            }
            let note = "\(package.name): \(rule.note)"
            if !record.notes.contains(note) { record.notes.append(note) }
        }
        let madeElsewhere = Trace.alternativePaths(record.calls, world.tree)
        let granted = Set(
            record.calls.filter { $0.program == "dpkg-statoverride" }.compactMap { call in
                call.arguments.last.flatMap { world.tree.resolve($0) }
            })
        let firewall = StateFirewall(allowed: rule.allow)
        var refusals: [StateFirewall.Refusal] = []
        var total = 0
        for (path, row) in after.rows.sorted(by: { TarEntry.precedes($0.key, $1.key) }) {
            let old = before.rows[path]
            if let old, row.isUntouched(since: old) { continue }
            if TraceScope.leavesOut(path) || madeElsewhere.contains(path) { continue }
            guard let item = try item(path, row, old, after, accounts, world) else { continue }
            if case .bytes(let bytes) = item.content {
                total += bytes.count
                guard total <= TreeScan.Limit.content else {
                    let limit = ByteCount(bytes: TreeScan.Limit.content)
                    throw SandboxUsage.breach("its scripts leave more than \(limit) of files")
                }
                if let refusal = firewall.refusal(of: path, bytes) { refusals.append(refusal) }
            }
            if item.entry.kind == .file, old.map({ $0.mode & 0o6000 != row.mode & 0o6000 }) ?? true,
                let refusal = firewall.refusal(of: path, mode: row.mode, granted: granted)
            {
                refusals.append(refusal)
            }
            let capability = item.entry.attributes[FileCapability.name]
            if capability != nil, capability != world.tree.entry(path)?.attributes[FileCapability.name] {
                record.notes.append("\(package.name): its scripts give /\(path) a file capability")
            }
            record.items.append(item)
        }
        record.removed = before.rows.keys.filter {
            after.rows[$0] == nil && !TraceScope.leavesOut($0) && !madeElsewhere.contains($0)
        }.sorted(by: TarEntry.precedes)
        if !refusals.isEmpty { throw Failures(refusals.map(refuse)) }
        return record
    }

    private func refuse(_ refusal: StateFirewall.Refusal) -> Failure {
        Failure(
            .notPermitted, "its scripts make /\(refusal.path), \(refusal.what), which no image should hold",
            suggestion: "make it at first start, or keep it all the same: "
                + "`scripts: {\(package.name): {mode: traced, allow: [/\(refusal.path)]}}`")
    }

    /// nil where nothing that an image keeps is different.
    private func item(
        _ path: String, _ row: TreeScan.Row, _ old: TreeScan.Row?, _ scan: TreeScan, _ accounts: Accounts,
        _ world: PackageTracer.World
    ) throws -> TraceRecord.Item? {
        guard let kind = row.kind, [.file, .directory, .symlink, .fifo].contains(kind) else {
            throw Failure(.notPermitted, "it leaves a socket or a device", at: "/" + path)
        }
        let isSameFrame =
            old.map { $0.kind == kind && $0.mode == row.mode && $0.user == row.user && $0.group == row.group }
            ?? false
        var item = TraceRecord.Item(
            entry: TarEntry(path: path, kind: kind, mode: row.mode),
            user: accounts.users.first { $0.id == row.user }?.name ?? "\(row.user)",
            group: accounts.groups.first { $0.id == row.group }?.name ?? "\(row.group)", content: .none)
        switch kind {
        case .file:
            let isSame = try old.map { try isSameContent(path, row, $0, scan, world.tree) } ?? false
            let capability = scan.capability(path)
            item.entry.attributes[FileCapability.name] = capability
            let isSameRight = world.tree.entry(path)?.attributes[FileCapability.name] == capability
            if isSame, isSameFrame, isSameRight { return nil }
            if isSame {
                item.content = .same
            } else {
                let bytes = try scan.bytes(path)
                item.entry.size = bytes.count
                item.content = .bytes(bytes)
            }
        case .symlink:
            item.entry.link = try scan.link(path)
            if isSameFrame, world.tree.entry(path)?.link == item.entry.link { return nil }
        default: if isSameFrame { return nil }
        }
        return item
    }

    /// Compares with what the image has; a file that is too large for that counts by its time.
    private func isSameContent(
        _ path: String, _ row: TreeScan.Row, _ old: TreeScan.Row, _ scan: TreeScan, _ tree: EffectTree
    ) throws -> Bool {
        guard old.kind == .file, row.size == old.size else { return false }
        if row.size > EffectTree.Limit.readBytes {
            return row.modified == old.modified && row.inode == old.inode
        }
        return try tree.bytes("/" + path).map { try $0 == scan.bytes(path) } ?? false
    }

    /// The links that follow from recorded alternatives: which choice wins is known once all packages are.
    private static func alternativePaths(_ calls: [TraceRecord.Call], _ tree: EffectTree) -> Set<String> {
        var paths: Set<String> = []
        for call in calls where call.program == "update-alternatives" {
            guard let alternative = Alternative(parsing: call.arguments) else { continue }
            for link in [alternative.main] + alternative.slaves {
                paths.insert("etc/alternatives/\(link.name)")
                if let place = tree.resolve(link.link, followLast: false) { paths.insert(place) }
            }
        }
        return paths
    }

    private func accounts(
        _ scan: TreeScan, _ calls: [TraceRecord.Call], _ world: PackageTracer.World,
        _ record: inout TraceRecord
    ) throws -> Accounts {
        func text(_ path: String) throws -> String {
            guard scan.rows[path]?.kind == .file else { return "" }
            return String(decoding: try scan.bytes(path), as: UTF8.self)
        }
        for line in try text("etc/shadow").split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if fields.count > 1, fields[1].contains("$") {
                throw Failure(.notPermitted, "its scripts give the user \(fields[0]) a password")
            }
        }
        let after = Accounts(passwd: try text("etc/passwd"), group: try text("etc/group"))
        let traced = TracedAccounts(
            before: world.accounts, after: after, calls: calls, package: package.name)
        (record.users, record.groups, record.members) = (traced.users, traced.groups, traced.members)
        record.notes += traced.notes
        return after
    }
}
