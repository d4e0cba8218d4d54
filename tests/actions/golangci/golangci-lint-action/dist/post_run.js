console.log("the linter would keep its cache");
