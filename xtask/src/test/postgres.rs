//! A PostgreSQL server for one test run: its own directory, reached through a socket only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow};

use crate::{
    provision,
    shell::{ask, has},
};

/// The running server; ends with the value.
pub(crate) struct Postgres {
    bin: PathBuf,
    directory: PathBuf,
    user: Option<&'static str>,
}

impl Postgres {
    /// Makes a database and serves it.
    pub(crate) fn start() -> Result<Self> {
        let bin =
            provision::postgres_bin().ok_or_else(|| anyhow!("PostgreSQL is not installed"))?;
        // PostgreSQL refuses to run as root; Debian's package made a user for it.
        let is_root = ask(Command::new("id").arg("-u"))?.trim() == "0";
        let user = (is_root && has("runuser")).then_some("postgres");
        remove_leftovers(&bin, user);
        // A socket's path has at most 107 bytes, so not below the target directory.
        let directory = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&directory).with_context(|| directory.display().to_string())?;
        let postgres = Self { bin, directory, user };
        if let Some(user) = user {
            ask(Command::new("chown").arg(user).arg(&postgres.directory))?;
        }
        let data = postgres.data();
        ask(postgres
            .command("initdb")
            .args(["--auth=trust", "--username=test", "-E", "UTF8", "-D"])
            .arg(&data))
        .context("initdb")?;
        // No TCP at all; durability is of no use to a database that is thrown away.
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync=off -c max_connections=200",
            postgres.directory.display()
        );
        let log = postgres.directory.join("log");
        ask(postgres
            .command("pg_ctl")
            .arg("-D")
            .arg(&data)
            .args(["-w", "-o", &options, "-l"])
            .arg(&log)
            .arg("start"))
        .context("pg_ctl start")?;
        Ok(postgres)
    }

    /// Where the tests find it. They make databases of their own on it.
    pub(crate) fn url(&self) -> String {
        let socket = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://test@{socket}/postgres")
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let program: &Path = &self.bin.join(program);
        match self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command.current_dir(&self.directory);
                command
            }
            None => Command::new(program),
        }
    }
}

/// Directories are named by this and the process that made them.
const PREFIX: &str = "sparkrtc-pg-";

/// Ends what an interrupted test run left behind.
fn remove_leftovers(bin: &Path, user: Option<&'static str>) {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(maker) = name.strip_prefix(PREFIX) else { continue };
        if !Path::new("/proc").join(maker).exists() {
            drop(Postgres { bin: bin.to_owned(), directory: entry.path(), user });
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.data();
        drop(ask(self.command("pg_ctl").arg("-D").arg(&data).args(["-m", "immediate", "stop"])));
        drop(fs::remove_dir_all(&self.directory));
    }
}
