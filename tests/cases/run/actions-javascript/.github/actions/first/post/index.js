console.log(`first post: began ${process.env.STATE_began}, ${process.env.STATE_old}, ${process.env["INPUT_MY_NAME"]}`);
