import ImageFormat
import Testing

@testable import Baking

struct PAMProfilesTests {
    private static func template(_ word: String) -> String {
        """
        # head
        # here are the per-package modules (the "Primary" block)
        $primary
        # here's the fallback if no module succeeds
        \(word)\trequisite\t\t\tpam_deny.so
        # and here are more per-package modules (the "Additional" block)
        $additional
        # end of pam-auth-update config

        """
    }

    private static let bench = ScriptBench(
        files: [
            "usr/share/pam/common-auth": template("auth"),
            "usr/share/pam/common-session": template("session"),
            "usr/share/pam/common-session-noninteractive": template("session"),
            "usr/share/pam-configs/unix": """
            Name: Unix authentication
            Default: yes
            Priority: 256
            Auth-Type: Primary
            Auth:
            \t[success=end default=ignore]\tpam_unix.so nullok try_first_pass
            Auth-Initial:
            \t[success=end default=ignore]\tpam_unix.so nullok
            Session-Type: Additional
            Session:
            \trequired\tpam_unix.so
            """,
            "usr/share/pam-configs/krb5": """
            Name: Kerberos
            Default: yes
            Priority: 704
            Conflicts: old
            Auth-Type: Primary
            Auth:
            \t[success=end default=ignore]\tpam_krb5.so minimum_uid=1000
            """,
            "usr/share/pam-configs/systemd": """
            Name: systemd
            Default: yes
            Priority: 0
            Session-Interactive-Only: yes
            Session-Type: Additional
            Session:
            \toptional\tpam_systemd.so
            """,
            "usr/share/pam-configs/old":
                "Name: old\nDefault: yes\nPriority: 1\nAuth-Type: Primary\nAuth:\n\trequired\tx.so\n",
            "usr/share/pam-configs/off":
                "Name: off\nDefault: no\nPriority: 9\nAuth-Type: Primary\nAuth:\n\trequired\ty.so\n",
        ], folders: ["etc/pam.d", "var/lib"])

    /// The files are those that pam-auth-update 1.5.2 writes from the same profiles.
    @Test func `profiles become files with their jumps counted`() throws {
        var tree = try PAMProfilesTests.bench.effects().tree
        PAMProfiles(tree).write(to: &tree)
        let auth = try #require(tree.text("etc/pam.d/common-auth"))
        #expect(
            auth.contains(
                "block)\nauth\t[success=2 default=ignore]\tpam_krb5.so minimum_uid=1000\n"
                    + "auth\t[success=1 default=ignore]\tpam_unix.so nullok try_first_pass\n# here's"))
        #expect(auth.hasSuffix("(the \"Additional\" block)\n# end of pam-auth-update config\n"))
        let session = try #require(tree.text("etc/pam.d/common-session"))
        #expect(session.contains("session\t[default=1]\t\t\tpam_permit.so\n"))
        #expect(
            session.contains("session\trequired\tpam_unix.so \nsession\toptional\tpam_systemd.so \n# end"))
        let batch = try #require(tree.text("etc/pam.d/common-session-noninteractive"))
        #expect(!batch.contains("pam_systemd"))
        #expect(tree.text("var/lib/pam/seen") == "krb5\nunix\noff\nold\nsystemd\n")
    }
}
